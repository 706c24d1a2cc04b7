//! The public key of an X.509 certificate (RFC 5280), to hold a JWK's `x5c` against its own members.

use super::material::{Curve, Material, unsigned};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

/// The subject's public key, or `None` where the certificate or its key is of another make. The signature on the
/// certificate is not looked at: AWS takes self-signed ones.
pub(super) fn public_key(certificate: &[u8]) -> Option<Material> {
    let mut to_be_signed = Der(Der(Der(certificate).take(SEQUENCE)?).take(SEQUENCE)?);
    to_be_signed.skip_if(VERSION);
    // serialNumber, signature, issuer, validity, subject
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        to_be_signed.take(tag)?;
    }
    let mut key_info = Der(to_be_signed.take(SEQUENCE)?);
    let mut algorithm = Der(key_info.take(SEQUENCE)?);
    let (unused_bits, key) = key_info.take(BIT_STRING)?.split_first()?;
    if *unused_bits != 0 {
        return None;
    }
    match algorithm.take(OBJECT_ID)? {
        RSA_ENCRYPTION => {
            let mut key = Der(Der(key).take(SEQUENCE)?);
            Some(Material::Rsa { n: unsigned(key.take(INTEGER)?), e: unsigned(key.take(INTEGER)?) })
        }
        EC_PUBLIC_KEY => {
            let curve = match algorithm.take(OBJECT_ID)? {
                P256 => Curve::P256,
                P384 => Curve::P384,
                P521 => Curve::P521,
                _ => return None,
            };
            Some(Material::Ec { curve, point: key.to_vec() })
        }
        _ => None,
    }
}

/// DER elements one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            // Four bytes of length are more than any certificate has.
            let fits = (1..=4).contains(&bytes.len());
            fits.then(|| bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)))?
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        (found == tag).then_some(content)
    }

    fn skip_if(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            let _ = self.take(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_its_key_and_garbage_tells_nothing() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
        let der = certificate.der();
        let expected = Material::Ec { curve: Curve::P256, point: rcgen::PublicKeyData::der_bytes(&key).to_vec() };
        assert_eq!(public_key(der), Some(expected));
        for cut in 0..der.len() {
            assert_eq!(public_key(&der[..cut]), None, "cut at {cut}");
        }
        assert_eq!(public_key(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(public_key(&[SEQUENCE, 0x80]), None);
    }
}
