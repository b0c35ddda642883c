//! Reading a commit through git: its list of files, and their bytes.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use crate::git::{Git, GitError, Process};
use crate::select::{Blob, SelectError, Selection, Selector};

/// A path of the file system has at most 4096 bytes; git allows more, and no one needs it.
const RECORD_BYTES_MAX: u64 = 8 << 10;

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Select(#[from] SelectError),
}

/// Passes every file of a commit to a selector; a tree without end is left at the first limit.
///
/// # Errors
/// [`TreeError`], most often a limit of the selector.
pub(crate) async fn list(
    git: &Git,
    revision: &str,
    mut selector: Selector<'_>,
) -> Result<Selection, TreeError> {
    let arguments = ["ls-tree", "-r", "-z", "-l", "--full-tree", revision];
    let mut process = git.start(&arguments, Stdio::null(), Stdio::null())?;
    let unread = || GitError::Answer("the list of files cannot be read");
    let mut records = BufReader::new(process.child.stdout.take().ok_or_else(unread)?);
    let mut record = Vec::new();
    loop {
        record.clear();
        let read = (&mut records)
            .take(RECORD_BYTES_MAX)
            .read_until(0, &mut record)
            .await
            .map_err(|e| GitError::Run(e.kind()))?;
        match record.pop() {
            Some(0) => selector.consider(&record)?,
            Some(_) if read as u64 == RECORD_BYTES_MAX => return Err(SelectError::Listing.into()),
            Some(_) => return Err(unread().into()),
            None => break,
        }
    }
    if !process.wait().await?.success() {
        return Err(unread().into());
    }
    Ok(selector.finish()?)
}

/// One `git cat-file --batch`, asked for one object after the other.
#[derive(Debug)]
pub(crate) struct Blobs {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Held so that git ends with this.
    _process: Process,
}

const UNREADABLE: GitError = GitError::Answer("a file's content cannot be read");

impl Blobs {
    /// Starts the reader.
    ///
    /// # Errors
    /// As [`Git::start`].
    pub(crate) fn open(git: &Git) -> Result<Self, GitError> {
        let mut process = git.start(&["cat-file", "--batch"], Stdio::piped(), Stdio::null())?;
        let stdin = process.child.stdin.take().ok_or(UNREADABLE)?;
        let stdout = process.child.stdout.take().ok_or(UNREADABLE)?;
        Ok(Self { stdin, stdout: BufReader::new(stdout), _process: process })
    }

    /// The bytes of a file, whose size the listing said.
    ///
    /// # Errors
    /// [`GitError::Answer`] where git does not have it, or it has another size.
    pub(crate) async fn read(&mut self, blob: &Blob) -> Result<Vec<u8>, GitError> {
        let lost = |_| UNREADABLE;
        self.stdin.write_all(format!("{}\n", blob.id).as_bytes()).await.map_err(lost)?;
        self.stdin.flush().await.map_err(lost)?;
        let expected = format!("{} blob {}\n", blob.id, blob.size_bytes);
        let mut header = String::new();
        (&mut self.stdout).take(RECORD_BYTES_MAX).read_line(&mut header).await.map_err(lost)?;
        if header != expected {
            return Err(UNREADABLE);
        }
        let size = usize::try_from(blob.size_bytes).map_err(|_| UNREADABLE)?;
        let mut content = vec![0; size];
        self.stdout.read_exact(&mut content).await.map_err(lost)?;
        let end = self.stdout.read_u8().await.map_err(lost)?;
        if end == b'\n' { Ok(content) } else { Err(UNREADABLE) }
    }
}
