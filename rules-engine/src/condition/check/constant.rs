//! Constants: text into the form of the left side's type.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::condition::ast::{self, Operator};
use crate::condition::check::{CheckErrorKind, Checked, Checker};
use crate::condition::class_for;
use crate::condition::typed::Constant;
use crate::field::FieldType;

/// The longest string constant in bytes; stock keeps one more for the NUL.
const MAX_LENGTH: usize = 255;

impl Checker<'_> {
    pub(super) fn constants(
        &self,
        kind: FieldType,
        operator: Operator,
        constants: &[ast::Constant],
    ) -> Checked<Vec<Constant>> {
        constants.iter().map(|constant| self.constant(kind, operator, constant)).collect()
    }

    pub(super) fn constant(
        &self,
        kind: FieldType,
        operator: Operator,
        constant: &ast::Constant,
    ) -> Checked<Constant> {
        self.no_nul(&constant.text, constant.span)?;
        let text = String::from_utf8_lossy(&constant.text);
        let read = match kind {
            FieldType::String => self.text(operator, &constant.text),
            FieldType::Uint64 | FieldType::RelTime | FieldType::AbsTime => {
                read_number(&text).map(Constant::Number)
            }
            FieldType::Bool => match &*text {
                "true" => Ok(Constant::Bool(true)),
                "false" => Ok(Constant::Bool(false)),
                _ => Err(format!("filter error: unrecognized boolean value {text}")),
            },
            FieldType::IpAddr => read_address(&text),
            FieldType::IpNet => read_network(&text),
        };
        read.or_else(|message| {
            let help = help(kind, operator, &text);
            self.error_with_help(CheckErrorKind::Constant, constant.span, message, help)
        })
    }

    fn text(&self, operator: Operator, text: &[u8]) -> Result<Constant, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "filter parameter too long (used={}, available={}):{}",
                text.len() + 1,
                MAX_LENGTH + 1,
                String::from_utf8_lossy(text)
            ));
        }
        if operator == Operator::Regex {
            self.patterns.check(text)?;
        }
        Ok(Constant::Text(text.to_vec()))
    }

    pub(super) fn no_nul(&self, text: &[u8], span: ast::Span) -> Checked<()> {
        if !text.contains(&0) {
            return Ok(());
        }
        let message = r"filter error: filter value cannot contain a NUL byte (\x00)".to_owned();
        self.error(CheckErrorKind::Constant, span, message)
    }
}

/// What a constant of the left side's type looks like.
fn help(kind: FieldType, operator: Operator, text: &str) -> Option<String> {
    let help = match kind {
        FieldType::String if operator != Operator::Regex => return None,
        FieldType::String => return help_for_pattern(text),
        FieldType::Uint64 | FieldType::RelTime | FieldType::AbsTime => {
            "the left side is a number, so a whole number is expected"
        }
        FieldType::Bool => "the left side is a truth value: `true` or `false`",
        FieldType::IpAddr => "the left side is an address, such as 10.0.0.1 or ::1",
        FieldType::IpNet => "the left side is matched with networks, such as 10.0.0.0/8",
    };
    Some(help.to_owned())
}

/// What patterns of other libraries have, and POSIX patterns have not.
fn help_for_pattern(pattern: &str) -> Option<String> {
    if pattern.contains("(?") {
        return Some(
            "patterns are POSIX regular expressions, in which `(?` has no meaning; look-ahead can \
             often be written as a second comparison with `not`"
                .to_owned(),
        );
    }
    let escape = ["\\d", "\\w", "\\s"].into_iter().find(|escape| pattern.contains(escape))?;
    let class = class_for(escape)?;
    Some(format!("patterns are POSIX regular expressions: write `{class}` for `{escape}`"))
}

/// Reads a number as C's `scanf("%lu")` does: with a sign that wraps, and the largest number for all
/// that are larger. Nothing may follow it.
fn read_number(text: &str) -> Result<u64, String> {
    let is_space = |c: char| matches!(c, ' ' | '\t'..='\r');
    let unsigned = text.trim_start_matches(is_space);
    let (is_negative, digits) = match unsigned.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, unsigned.strip_prefix('+').unwrap_or(unsigned)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text} is not a valid number"));
    }
    Ok(match digits.parse::<u64>() {
        Ok(number) if is_negative => number.wrapping_neg(),
        Ok(number) => number,
        Err(_) => u64::MAX,
    })
}

/// A text with a dot is IPv4, so an IPv6 address cannot end in one.
fn read_address(text: &str) -> Result<Constant, String> {
    if text.contains('.') {
        let address = text.parse::<Ipv4Addr>();
        address
            .map(|address| Constant::Address(IpAddr::V4(address)))
            .map_err(|_| format!("unrecognized IPv4 address {text}"))
    } else {
        let address = text.parse::<Ipv6Addr>();
        address
            .map(|address| Constant::Address(IpAddr::V6(address)))
            .map_err(|_| format!("unrecognized IPv6 address {text}"))
    }
}

fn read_network(text: &str) -> Result<Constant, String> {
    let (address, mask) =
        text.split_once('/').ok_or_else(|| format!("unrecognized IP network {text}"))?;
    let address: IpAddr =
        address.parse().map_err(|_| format!("unrecognized IP address {address}"))?;
    let length = match address {
        IpAddr::V4(_) => {
            // Stock keeps the lowest byte, so 256 is 0.
            let [length, ..] = read_number(mask)?.to_le_bytes();
            if length > 32 {
                return Err(format!("invalid netmask {length}"));
            }
            length
        }
        IpAddr::V6(_) => {
            let number = mask.parse::<u64>().map_err(|_| format!("invalid v6 netmask: {mask}"))?;
            u8::try_from(number)
                .ok()
                .filter(|length| (1..=128).contains(length))
                .ok_or_else(|| format!("invalid v6 netmask {number}"))?
        }
    };
    Ok(Constant::Network { address, length })
}
