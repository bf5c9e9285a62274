//! What an error of the database means: try again, connect again, or give up. It waits for nothing itself.

use crate::store::StoreError;
use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another transaction was faster: the same one again may work at once.
    Conflict(String),
    /// The database isn't there, or went away in the middle: what was asked for may have happened or not.
    Gone(String),
    /// A commit with this number is there already: it is this one.
    Done,
    /// Anything else.
    Final(StoreError),
}

impl Fault {
    pub(super) fn of(operation: &'static str, error: &Error) -> Self {
        let reason = words(error);
        let Some(code) = error.code() else {
            // No answer of the server: the connection failed.
            return Self::Gone(reason);
        };
        if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED {
            return Self::Conflict(reason);
        }
        if *code == SqlState::DISK_FULL {
            return Self::Final(StoreError::Full(reason));
        }
        // 08: connection; 57P: shut down or starting up; 53300: too many connections.
        let passing = ["08", "57P"].iter().any(|class| code.code().starts_with(class));
        if passing || *code == SqlState::TOO_MANY_CONNECTIONS {
            return Self::Gone(reason);
        }
        Self::Final(StoreError::Engine { operation, reason })
    }

    pub(super) fn of_pool(operation: &'static str, error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::of(operation, &error),
            PoolError::Timeout(_) => Self::Gone("no connection became free".into()),
            other => Self::Final(StoreError::Engine { operation, reason: other.to_string() }),
        }
    }
}

/// What the database said, with the cause beneath; never the connection's URL.
fn words(error: &Error) -> String {
    use std::error::Error as _;
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = cause.source();
    }
    words
}
