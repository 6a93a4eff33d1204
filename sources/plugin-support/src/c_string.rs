//! Text on its way through the C interface.

use std::ffi::CString;

use memchr::memchr;

/// The text as the C interface carries it: what follows a NUL is lost, as with Falco's own plugins.
pub fn c_string(mut text: Vec<u8>) -> CString {
    if let Some(nul) = memchr(0, &text) {
        text.truncate(nul);
    }
    text.push(0);
    CString::from_vec_with_nul(text).expect("the only NUL is the last byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_the_first_nul() {
        assert_eq!(c_string(b"whole".to_vec()).as_c_str(), c"whole");
        assert_eq!(c_string(b"x\0y\0".to_vec()).as_c_str(), c"x");
        assert_eq!(c_string(Vec::new()).as_c_str(), c"");
    }
}
