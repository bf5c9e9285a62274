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
        if is_untrusted(error) {
            let reason = format!("{reason}; look at its certificate, and at store.ca");
            return Self::Final(StoreError::Engine { operation, reason });
        }
        // No answer of the server: the connection failed.
        error.code().map_or(Self::Gone(reason.clone()), |code| Self::of_code(operation, code, reason))
    }

    fn of_code(operation: &'static str, code: &SqlState, reason: String) -> Self {
        if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED {
            return Self::Conflict(reason);
        }
        if *code == SqlState::DISK_FULL {
            return Self::Final(StoreError::Full(reason));
        }
        // 08: connection; 57P: shut down or starting up; 53300: too many connections.
        let passing = ["08", "57P"].iter().any(|class| code.code().starts_with(class));
        // 40003: the database itself doesn't know whether the statement was carried out.
        let unknown = *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN;
        if passing || unknown || *code == SqlState::TOO_MANY_CONNECTIONS {
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

/// Whether a server was there and showed a certificate that isn't believed: it will show that again.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    let told = |cause: &(dyn std::error::Error + 'static)| {
        // What an IO error carries is none of its sources.
        let carried = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = carried.and_then(|carried| carried.downcast_ref::<rustls::Error>());
        matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
    };
    std::iter::successors(Some(error), |error| error.source()).any(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_happened_is_told_from_what_did_not() {
        let of = |code: &str| Fault::of_code("commit", &SqlState::from_code(code), "why".into());
        for gone in ["40003", "08006", "08007", "57P01", "57P03", "53300"] {
            assert!(matches!(of(gone), Fault::Gone(_)), "{gone}");
        }
        assert!(matches!(of("40001"), Fault::Conflict(_)) && matches!(of("40P01"), Fault::Conflict(_)));
        assert!(matches!(of("53100"), Fault::Final(StoreError::Full(_))));
        assert!(matches!(of("42P01"), Fault::Final(StoreError::Engine { .. })));
    }
}
