//! The keys and certificates of one cluster, made for it and gone with it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// What kept keys or certificates from being made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key or certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("cannot write keys and certificates: {0}")]
    Write(#[from] io::Error),
}

/// The certificate authority of one cluster.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM.
pub(crate) struct Identity {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key.
    pub(crate) key: String,
}

impl Authority {
    /// A new authority that only its cluster trusts.
    ///
    /// # Errors
    /// Where no key can be made.
    pub(crate) fn new() -> Result<Self, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "stowage-e2e");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// The authority's own certificate and key.
    pub(crate) fn identity(&self) -> Identity {
        Identity { certificate: self.issuer.pem(), key: self.issuer.key().serialize_pem() }
    }

    /// A client: the API server takes the common name as the user and each organisation as a group.
    ///
    /// # Errors
    /// Where no certificate can be made.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A server that is reached under these host names and addresses.
    ///
    /// # Errors
    /// Where no certificate can be made.
    pub(crate) fn server(&self, name: &str, subjects: &[&str]) -> Result<Identity, PkiError> {
        let subjects: Vec<String> = subjects.iter().map(|&subject| subject.to_owned()).collect();
        let mut params = CertificateParams::new(subjects)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity, PkiError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

impl Identity {
    /// Writes `NAME.crt` and `NAME.key` into a directory.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> Result<(), PkiError> {
        write_private(&directory.join(format!("{name}.crt")), &self.certificate)?;
        write_private(&directory.join(format!("{name}.key")), &self.key)?;
        Ok(())
    }
}

/// Writes what an API server reads at its start into `directory`: `ca`, `apiserver`, `kubelet-client`
/// (how it calls kubelets), each as `.crt` and `.key`, and `sa.key` with `sa.pub`, which sign
/// service account tokens.
///
/// # Errors
/// Where a key cannot be made or written.
pub(crate) fn write_api_server_files(
    authority: &Authority,
    directory: &Path,
    subjects: &[&str],
) -> Result<(), PkiError> {
    authority.identity().write(directory, "ca")?;
    authority.server("kube-apiserver", subjects)?.write(directory, "apiserver")?;
    authority
        .client("kube-apiserver-kubelet-client", &["system:masters"])?
        .write(directory, "kubelet-client")?;
    let tokens = KeyPair::generate()?;
    write_private(&directory.join("sa.key"), &tokens.serialize_pem())?;
    write_private(&directory.join("sa.pub"), &tokens.public_key_pem())?;
    Ok(())
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// The file system's.
pub(crate) fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())
}
