//! Addresses as plugins return them, against addresses and networks as rules write them.

use std::net::IpAddr;

/// A network of a rule; the host bits of its address do not matter.
#[derive(Debug)]
pub(super) struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    pub(super) fn new(address: IpAddr, length: u8) -> Network {
        Network { address, length }
    }

    /// Whether an address of 4 or 16 bytes lies in the network; one of the other family never does.
    pub(super) fn contains(&self, address: &[u8]) -> bool {
        let has_prefix = |network: &[u8]| {
            let whole = usize::from(self.length / 8);
            // The bits of the byte that the prefix ends in.
            let mask = !(0xffu8 >> (self.length % 8));
            address.len() == network.len()
                && address[..whole] == network[..whole]
                && address.iter().zip(network).nth(whole).is_none_or(|(a, n)| (a ^ n) & mask == 0)
        };
        match self.address {
            IpAddr::V4(network) => has_prefix(&network.octets()),
            IpAddr::V6(network) => has_prefix(&network.octets()),
        }
    }
}

/// An address of 4 or 16 bytes. IPv4 mapped into IPv6 stays IPv6, so it equals no IPv4 address.
pub(super) fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
