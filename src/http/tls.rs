//! The listener's TLS: certificate and key from files that are read again when they change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use zeroize::Zeroizing;

/// What is wrong with the files. Names them, never their content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate file holds no PEM certificate.
    #[error("{path} must hold a PEM certificate chain, the server's own first", path = .0.display())]
    Certificate(PathBuf),
    /// The key file holds no PEM private key.
    #[error("{path} must hold one PEM private key", path = .0.display())]
    Key(PathBuf),
    /// Certificate and key do not belong together, or are of no known kind.
    #[error("certificate and private key do not fit each other: {0}")]
    Pair(rustls::Error),
}

/// A certificate and its key, as files and as loaded last.
pub struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// Of both files as they were tried last, whether they were good or not, so that each state of them is tried and
    /// complained about once; nothing where one could not be read.
    tried: Option<[u8; 32]>,
}

/// What looking at the files led to.
#[derive(Debug)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
    /// New connections see the new certificate.
    Replaced,
    /// They changed for the worse (perhaps half written): new connections still see the old certificate.
    Kept(TlsError),
}

impl ServerTls {
    /// Loads PEM files: a chain, and its key in PKCS#8, PKCS#1 or SEC 1.
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let files = Files::read(&certificate, &key)?;
        let loaded = Loaded { config: Arc::new(files.parse(&certificate, &key)?), tried: Some(files.hash()) };
        Ok(Self { certificate, key, loaded: Mutex::new(loaded) })
    }

    /// The configuration for the next connection: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Reads the files again. Their content decides, not their times, so links that are switched and copies that
    /// keep times are seen as well.
    pub fn reload(&self) -> Reload {
        let files = Files::read(&self.certificate, &self.key);
        let hash = files.as_ref().ok().map(Files::hash);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.tried == hash {
            return Reload::Unchanged;
        }
        loaded.tried = hash;
        match files.and_then(|files| files.parse(&self.certificate, &self.key)) {
            Ok(config) => {
                loaded.config = Arc::new(config);
                Reload::Replaced
            }
            Err(error) => Reload::Kept(error),
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS from {}", self.certificate.display())
    }
}

struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
        Ok(Self { certificate: read(certificate)?, key: Zeroizing::new(read(key)?) })
    }

    fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        let parts = [digest(&SHA256, &self.certificate), digest(&SHA256, &self.key)];
        hash.copy_from_slice(digest(&SHA256, &[parts[0].as_ref(), parts[1].as_ref()].concat()).as_ref());
        hash
    }

    fn parse(&self, certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain =
            chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| TlsError::Certificate(certificate.into()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let signing = PrivateKeyDer::from_pem_slice(&self.key)
            .ok()
            .and_then(|der| provider.key_provider.load_private_key(der).ok())
            .ok_or_else(|| TlsError::Key(key.into()))?;
        let pair = CertifiedKey::new(chain, signing);
        pair.keys_match().map_err(TlsError::Pair)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn only_a_sound_pair_replaces_the_one_in_use() {
        let home = tempfile::tempdir().unwrap();
        let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
        let write = |pair: (&str, &str)| {
            fs::write(&cert, pair.0).unwrap();
            fs::write(&key, pair.1).unwrap();
        };
        let (one, other) = (pair(), pair());
        write((&one.0, &one.1));
        let tls = ServerTls::load(&cert, &key).unwrap();
        let first = tls.config();
        assert!(matches!(tls.reload(), Reload::Unchanged));

        write((&other.0, &one.1));
        assert!(matches!(tls.reload(), Reload::Kept(TlsError::Pair(_))));
        assert!(matches!(tls.reload(), Reload::Unchanged), "one content is complained about once");
        write(("garbage", &one.1));
        assert!(matches!(tls.reload(), Reload::Kept(TlsError::Certificate(_))));
        write((&other.0, "garbage"));
        assert!(matches!(tls.reload(), Reload::Kept(TlsError::Key(_))));
        fs::remove_file(&key).unwrap();
        assert!(matches!(tls.reload(), Reload::Kept(TlsError::Read { .. })));
        assert!(Arc::ptr_eq(&first, &tls.config()));

        write((&other.0, &other.1));
        assert!(matches!(tls.reload(), Reload::Replaced));
        assert!(!Arc::ptr_eq(&first, &tls.config()));
    }

    #[test]
    fn threat_31_a_fault_names_the_file_and_nothing_in_it() {
        let home = tempfile::tempdir().unwrap();
        let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
        fs::write(&cert, pair().0).unwrap();
        fs::write(&key, "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n").unwrap();
        let error = ServerTls::load(&cert, &key).unwrap_err();
        assert_eq!(error.to_string(), format!("{} must hold one PEM private key", key.display()));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
