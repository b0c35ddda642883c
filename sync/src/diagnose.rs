//! From what git and ssh say on standard error to what a person can do about it.

use std::fmt;

use crate::reason::Reason;

/// What went wrong in a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Diagnosis {
    RepositoryNotFound,
    BranchNotFound,
    CredentialsNeeded,
    AccessDenied,
    SshKeyRefused,
    SshKeyUnusable,
    HostKeyRejected,
    Redirected,
    ProtocolRefused,
    Unreachable,
    NotShallow,
    DiskFull,
    OutOfMemory,
    Unknown,
}

/// The first sign that is found counts: ssh's own lines stand before git's, which only says
/// that the connection broke.
const SIGNS: &[(&str, Diagnosis)] = &[
    ("Host key verification failed", Diagnosis::HostKeyRejected),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Diagnosis::HostKeyRejected),
    ("error in libcrypto", Diagnosis::SshKeyUnusable),
    ("invalid format", Diagnosis::SshKeyUnusable),
    ("incorrect passphrase", Diagnosis::SshKeyUnusable),
    ("Permission denied (", Diagnosis::SshKeyRefused),
    ("Too many authentication failures", Diagnosis::SshKeyRefused),
    ("could not read Username", Diagnosis::CredentialsNeeded),
    ("could not read Password", Diagnosis::CredentialsNeeded),
    ("Authentication failed", Diagnosis::CredentialsNeeded),
    ("returned error: 401", Diagnosis::CredentialsNeeded),
    ("returned error: 403", Diagnosis::AccessDenied),
    ("couldn't find remote ref", Diagnosis::BranchNotFound),
    ("returned error: 30", Diagnosis::Redirected),
    ("unable to update url base from redirection", Diagnosis::Redirected),
    ("not allowed", Diagnosis::ProtocolRefused),
    ("Repository not found", Diagnosis::RepositoryNotFound),
    ("project you were looking for could not be found", Diagnosis::RepositoryNotFound),
    ("does not appear to be a git repository", Diagnosis::RepositoryNotFound),
    ("returned error: 404", Diagnosis::RepositoryNotFound),
    ("returned error: 410", Diagnosis::RepositoryNotFound),
    ("' not found", Diagnosis::RepositoryNotFound),
    ("does not exist", Diagnosis::RepositoryNotFound),
    ("does not support shallow", Diagnosis::NotShallow),
    ("No space left on device", Diagnosis::DiskFull),
    ("Disk quota exceeded", Diagnosis::DiskFull),
    ("ut of memory", Diagnosis::OutOfMemory),
    ("unable to access", Diagnosis::Unreachable),
    ("Could not resolve host", Diagnosis::Unreachable),
    ("Connection refused", Diagnosis::Unreachable),
    ("Connection timed out", Diagnosis::Unreachable),
    ("Connection reset", Diagnosis::Unreachable),
    ("Connection closed", Diagnosis::Unreachable),
    ("kex_exchange_identification", Diagnosis::Unreachable),
    ("Network is unreachable", Diagnosis::Unreachable),
    ("No route to host", Diagnosis::Unreachable),
    ("hung up unexpectedly", Diagnosis::Unreachable),
    ("early EOF", Diagnosis::Unreachable),
];

/// Finds what a failed fetch means. `stderr` is in English: git runs with `LC_ALL=C`.
pub(crate) fn diagnose(stderr: &str) -> Diagnosis {
    SIGNS
        .iter()
        .find(|(sign, _)| stderr.contains(sign))
        .map_or(Diagnosis::Unknown, |(_, diagnosis)| *diagnosis)
}

impl Diagnosis {
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::RepositoryNotFound => Reason::RepositoryNotFound,
            Self::BranchNotFound => Reason::BranchNotFound,
            Self::CredentialsNeeded | Self::AccessDenied | Self::SshKeyRefused => {
                Reason::AuthenticationFailed
            }
            Self::SshKeyUnusable => Reason::CredentialsUnusable,
            Self::HostKeyRejected => Reason::HostKeyRejected,
            Self::Redirected | Self::ProtocolRefused => Reason::UrlRefused,
            Self::Unreachable => Reason::Unreachable,
            Self::OutOfMemory => Reason::TooLarge,
            Self::NotShallow | Self::DiskFull | Self::Unknown => Reason::FetchFailed,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RepositoryNotFound => {
                "the repository was not found: check the URL, and that the credentials may read it"
            }
            Self::BranchNotFound => {
                "the repository has no such branch: check its name, or take it out of the source"
            }
            Self::CredentialsNeeded => {
                "the server did not accept the credentials, or wants some: check username and \
                 password, or bearerToken, in the Secret"
            }
            Self::AccessDenied => {
                "the server knows the credentials and denies access: give them the right to read"
            }
            Self::SshKeyRefused => {
                "the server did not accept the SSH key: add its public half to the repository as \
                 a deploy key, and check the user name in the URL"
            }
            Self::SshKeyUnusable => {
                "the SSH key cannot be read: put one without a passphrase into ssh-privatekey"
            }
            Self::HostKeyRejected => {
                "the server's host key is not the one in known_hosts: compare it with what the \
                 server's operator publishes, then correct known_hosts"
            }
            Self::Redirected => {
                "the server redirects to another URL, which is not followed: write the final URL"
            }
            Self::ProtocolRefused => "git refused the protocol of the URL: use https:// or ssh://",
            Self::Unreachable => {
                "the server could not be reached: check the URL's host, the network and the \
                 server's certificate"
            }
            Self::NotShallow => {
                "the server is a plain file server, which cannot serve one commit: use one that \
                 speaks Git's smart protocol"
            }
            Self::DiskFull => "the disk for temporary files is full: free or enlarge it",
            Self::OutOfMemory => {
                "git needs more memory for the branch than a sync may take: slim its objects"
            }
            Self::Unknown => "git could not fetch the branch",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As git 2.39 and OpenSSH 9.2 say it, and as large hosts do.
    #[test]
    fn what_git_says_has_a_meaning() {
        use Diagnosis as D;
        let table = [
            ("fatal: repository 'http://127.0.0.1:1/none.git/' not found", D::RepositoryNotFound),
            (
                "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
                D::RepositoryNotFound,
            ),
            (
                "fatal: '/srv/x' does not appear to be a git repository\nfatal: Could not read \
                 from remote repository.",
                D::RepositoryNotFound,
            ),
            ("fatal: couldn't find remote ref refs/heads/gone", D::BranchNotFound),
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled",
                D::CredentialsNeeded,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 403",
                D::AccessDenied,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote \
                 repository.",
                D::SshKeyRefused,
            ),
            (
                "No ED25519 host key is known for h and you have requested strict checking.\nHost \
                 key verification failed.\nfatal: Could not read from remote repository.",
                D::HostKeyRejected,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 302",
                D::Redirected,
            ),
            ("fatal: transport 'file' not allowed", D::ProtocolRefused),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", D::Unreachable),
            (
                "fatal: unable to access 'https://h/': SSL certificate problem: self-signed",
                D::Unreachable,
            ),
            ("ssh: connect to host h port 22: Connection refused", D::Unreachable),
            ("fatal: dumb http transport does not support shallow capabilities", D::NotShallow),
            ("fatal: Out of memory, malloc failed (tried to allocate 9 bytes)", D::OutOfMemory),
            ("fatal: something new", D::Unknown),
            ("", D::Unknown),
        ];
        for (stderr, expected) in table {
            assert_eq!(diagnose(stderr), expected, "{stderr}");
        }
    }
}
