//! HMAC-SHA256 over the four JSON frames of a message.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A signature: an HMAC-SHA256.
pub type Signature = [u8; 32];

/// The key of a connection. Empty: messages are not signed, and any signature is taken.
#[derive(Clone)]
pub struct Key(Option<Hmac<Sha256>>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A key from the bytes of the connection file's `key`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        // HMAC takes keys of any length, so `ok` only drops an error that cannot be.
        Self(if bytes.is_empty() { None } else { Hmac::new_from_slice(bytes).ok() })
    }

    /// The signature, in lower-case hexadecimal digits; empty without a key.
    #[must_use]
    pub fn sign(&self, frames: [&[u8]; 4]) -> String {
        let Some(mac) = self.digest(frames) else { return String::new() };
        let mut text = String::with_capacity(64);
        for byte in mac.finalize().into_bytes() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        text
    }

    /// Whether the signature is right. Takes the same time wherever the first difference is.
    #[must_use]
    pub fn verify(&self, signature: &[u8], frames: [&[u8]; 4]) -> bool {
        let Some(mac) = self.digest(frames) else { return true };
        from_hex(signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok())
    }

    /// The bytes of a signature that [`Key::verify`] took; none without a key, for then it says nothing.
    #[must_use]
    pub fn signature(&self, digits: &[u8]) -> Option<Signature> {
        self.0.as_ref()?;
        from_hex(digits)?.try_into().ok()
    }

    fn digest(&self, frames: [&[u8]; 4]) -> Option<Hmac<Sha256>> {
        let mut mac = self.0.clone()?;
        for frame in frames {
            mac.update(frame);
        }
        Some(mac)
    }
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python: `hmac.new(b"key", b'{"a":1}{}{}{"b":2}', "sha256").hexdigest()`.
    const GOLDEN: &str = "0206f42f4ae2a48f6054ab91271f90c100f7022f55fb1f23de6377624d533752";
    const FRAMES: [&[u8]; 4] = [br#"{"a":1}"#, b"{}", b"{}", br#"{"b":2}"#];

    #[test]
    fn a_signature_has_these_bytes() {
        let key = Key::new(b"key");
        assert_eq!(key.sign(FRAMES), GOLDEN);
        assert!(key.verify(GOLDEN.as_bytes(), FRAMES));
        assert!(key.verify(GOLDEN.to_uppercase().as_bytes(), FRAMES));
    }

    #[test]
    fn anything_else_is_refused() {
        let key = Key::new(b"key");
        let [a, b, c, _] = FRAMES;
        assert!(!key.verify(GOLDEN.as_bytes(), [a, b, c, b"{}"]));
        assert!(!Key::new(b"other").verify(GOLDEN.as_bytes(), FRAMES));
        for signature in [&b""[..], b"0", b"zz", &GOLDEN.as_bytes()[..62], b"\xff\xfe"] {
            assert!(!key.verify(signature, FRAMES));
        }
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let key = Key::new(b"");
        assert_eq!(key.sign(FRAMES), "");
        assert!(key.verify(b"", FRAMES) && key.verify(b"whatever", FRAMES));
    }
}
