//! Addresses that work without a key until their time is over.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::now;
use crate::store::hex;

type HmacSha256 = Hmac<Sha256>;

pub fn hmac(secret: &[u8], message: &str) -> Vec<u8> {
    let mut mac = HmacSha256::new_from_slice(secret).expect("any length will do");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// What is added to a path: when it ends, in milliseconds, and the proof.
pub fn query(secret: &str, method: &str, path: &str, expires: i64) -> String {
    let signature = hex(&hmac(secret.as_bytes(), &format!("{method} {path} {expires}")));
    format!("expires={expires}&signature={signature}")
}

pub fn is_valid(secret: &str, method: &str, path: &str, expires: i64, signature: &str) -> bool {
    let wanted = query(secret, method, path, expires);
    let given = format!("expires={expires}&signature={signature}");
    expires > now() && bool::from(subtle::ConstantTimeEq::ct_eq(wanted.as_bytes(), given.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_method_path_and_time() {
        let later = now() + 10_000;
        let signed = query("secret", "GET", "/files/a", later);
        let signature = signed.split_once("signature=").expect("a signature").1;
        assert!(is_valid("secret", "GET", "/files/a", later, signature));
        assert!(!is_valid("secret", "PUT", "/files/a", later, signature));
        assert!(!is_valid("secret", "GET", "/files/b", later, signature));
        assert!(!is_valid("secret", "GET", "/files/a", later + 1, signature));
        assert!(!is_valid("other", "GET", "/files/a", later, signature));
        let past = now() - 1;
        let signed = query("secret", "GET", "/files/a", past);
        assert!(!is_valid("secret", "GET", "/files/a", past, signed.split_once("signature=").expect("a signature").1));
    }
}
