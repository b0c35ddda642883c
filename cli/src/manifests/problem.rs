//! What is wrong with manifests, and where.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One thing that is wrong. Never holds a value of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as it was named, or the directory where it is about none.
    pub file: PathBuf,
    /// The line, from 1; 0 where the problem is about the whole file.
    pub line: usize,
    /// The column, from 1; 0 where the problem is about the whole file.
    pub column: usize,
    /// The field, such as `spec.backend.volume.size` or `spec.branches[0].name`; empty where the
    /// problem is about the whole document or file.
    pub field: String,
    /// What is wrong there, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    /// `file:line:column: field: message`, without the parts that are not there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, unless there are none.
    #[must_use]
    pub fn new(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// In the order of paths, files and lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    /// One line a problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
