//! The token that a provider expects.

use std::{fmt, str::FromStr};

use xxhash_rust::xxh3::xxh3_64;

/// The variable in which Netdata hands its invocation to what it starts.
pub const INVOCATION_VARIABLE: &str = "NETDATA_INVOCATION_ID";

/// A token. It is never shown: what a person sees of it is how it was given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(u64);

impl Token {
    /// The token expected where none was agreed.
    pub const NONE: Token = Token(0);

    /// The number on the wire.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The token of one invocation of Netdata: the hash of the 16 bytes of its UUID.
    fn of_invocation(uuid: &str) -> Result<Self, BadToken> {
        let digits: Vec<u8> = uuid.bytes().filter(|&byte| byte != b'-').collect();
        let mut bytes = [0; 16];
        if digits.len() != 32 {
            return Err(BadToken("invocation is no UUID of 32 hexadecimal digits"));
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                return Err(BadToken("invocation has digits that are not hexadecimal"));
            };
            *byte = (high * 16 + low) as u8;
        }
        Ok(Token(xxh3_64(&bytes)))
    }

    /// What the environment says: the token of Netdata's invocation, none without one.
    ///
    /// # Errors
    ///
    /// [`BadToken`] when the variable holds no UUID.
    pub fn of_environment(invocation: Option<&str>) -> Result<Self, BadToken> {
        invocation.filter(|uuid| !uuid.is_empty()).map_or(Ok(Token::NONE), Token::of_invocation)
    }
}

/// What is wrong with a token, without the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken(&'static str);

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadToken {}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        if let Some(uuid) = text.strip_prefix("invocation:") {
            return Token::of_invocation(uuid);
        }
        let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16),
            _ => text.parse(),
        };
        number.map(Token).map_err(|_| BadToken("neither a number of 64 bits nor invocation:UUID"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_an_invocation_as_netdata_does() {
        let cases = [
            ("00000000000000000000000000000000", 0xd0a6_6a65_c752_8968),
            ("0123456789abcdef0123456789abcdef", 0x26f2_a731_193d_428f),
            ("8d6b4c5e2f1a4b3c9d8e7f6a5b4c3d2e", 0x06a1_c32e_7496_2366),
            ("8D6B4C5E-2F1A-4B3C-9D8E-7F6A5B4C3D2E", 0x06a1_c32e_7496_2366),
        ];
        for (uuid, token) in cases {
            assert_eq!(format!("invocation:{uuid}").parse(), Ok(Token(token)), "{uuid}");
            assert_eq!(Token::of_environment(Some(uuid)), Ok(Token(token)), "{uuid}");
        }
        assert_eq!(Token::of_environment(None), Ok(Token::NONE));
        assert_eq!(Token::of_environment(Some("")), Ok(Token::NONE));
    }

    #[test]
    fn reads_numbers_of_64_bits() {
        assert_eq!("18446744073709551615".parse(), Ok(Token(u64::MAX)));
        assert_eq!("0xffffFFFFffffFFFF".parse(), Ok(Token(u64::MAX)));
        for bad in [
            "",
            "-1",
            "18446744073709551616",
            "0x",
            "0x+1",
            "secret",
            "invocation:",
            "invocation:zz",
        ] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }

    #[test]
    fn is_never_shown() {
        let token: Token = "1234567".parse().unwrap();
        assert!(!format!("{token:?}").contains("1234567"));
        let why = "12345x".parse::<Token>().unwrap_err();
        assert!(!why.to_string().contains("12345"));
    }
}
