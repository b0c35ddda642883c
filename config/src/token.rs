//! Static tokens as a Secret holds them: a plain value, or a JSON object with rights.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Access, Contract};

/// The fewest bytes of a token: below that it could be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;

/// The most bytes of a token with its rights, as a file or a Secret's value: far above any grant.
pub const TOKEN_DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// A token and what it allows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The secret itself.
    pub value: String,
    /// What it allows.
    pub grant: TokenGrant,
}

/// What a token allows. The default allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TokenGrant {
    /// The contracts it is for, `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contracts: Option<Vec<Contract>>,
    /// The KV namespaces, run-store names (`/` is the default document), job ids, repository ids
    /// and sites it is for, `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Whether it may write.
    pub access: Access,
}

/// Why a Secret's value is not a token. No variant carries any of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Nothing there.
    #[error("it is empty; put a token of at least {TOKEN_BYTES_MIN} characters there")]
    Empty,
    /// Too short.
    #[error("it is shorter than {TOKEN_BYTES_MIN} characters; use a longer random token")]
    Short,
    /// Too large to be one.
    #[error("it is larger than {TOKEN_DOCUMENT_BYTES_MAX} bytes, which no token is")]
    TooLarge,
    /// Not text at all.
    #[error("it is not UTF-8 text; put a token of printable ASCII characters there")]
    NotText,
    /// A character that cannot stand in an `Authorization` header.
    #[error("it holds white space or a character that is not printable ASCII")]
    Character,
    /// Starts with `{` and is not the object that is expected then.
    #[error(
        "it starts with {{ but is not a JSON object of token, contracts, namespaces and access \
         (line {line}, column {column}: {what})"
    )]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What was expected there, without any of the text.
        what: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contracts: Option<Vec<Contract>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespaces: Option<Vec<String>>,
    #[serde(default)]
    access: Access,
}

impl Token {
    /// Reads the bytes of a Secret's value, or of the file that it is mounted as.
    ///
    /// # Errors
    /// [`InvalidToken`] says what to put there instead.
    pub fn read(bytes: &[u8]) -> Result<Self, InvalidToken> {
        if bytes.len() > TOKEN_DOCUMENT_BYTES_MAX {
            return Err(InvalidToken::TooLarge);
        }
        Self::parse(std::str::from_utf8(bytes).map_err(|_| InvalidToken::NotText)?)
    }

    /// Reads a Secret's value. White space around it (an editor's last newline) is left out.
    ///
    /// # Errors
    /// [`InvalidToken`] says what to put there instead.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if !text.starts_with('{') {
            check_value(text)?;
            return Ok(Self { value: text.to_owned(), grant: TokenGrant::default() });
        }
        let document: Document = serde_json::from_str(text).map_err(|e| InvalidToken::Json {
            line: e.line(),
            column: e.column(),
            what: match e.classify() {
                serde_json::error::Category::Data => "an unknown member or a wrong type",
                _ => "malformed JSON",
            },
        })?;
        check_value(&document.token)?;
        Ok(Self {
            value: document.token,
            grant: TokenGrant {
                contracts: document.contracts,
                namespaces: document.namespaces,
                access: document.access,
            },
        })
    }
}

/// The names of two tokens of the same value: who presents it could be either.
#[must_use]
pub fn same_value(tokens: &[(String, Token)]) -> Option<(&str, &str)> {
    let mut seen = HashMap::new();
    tokens.iter().find_map(|(name, token)| {
        seen.insert(token.value.as_str(), name.as_str()).map(|other| (other, name.as_str()))
    })
}

fn check_value(value: &str) -> Result<(), InvalidToken> {
    if value.is_empty() {
        Err(InvalidToken::Empty)
    } else if value.len() < TOKEN_BYTES_MIN {
        Err(InvalidToken::Short)
    } else if !value.bytes().all(|b| b.is_ascii_graphic()) {
        Err(InvalidToken::Character)
    } else {
        Ok(())
    }
}

impl fmt::Debug for Token {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("grant", &self.grant).finish_non_exhaustive()
    }
}
