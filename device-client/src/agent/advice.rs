//! What to do about a failure, by its number.

use perennial_schemas::report::FailureCode;

/// Whether it is the release or its metadata that is not to be had as it is offered, and not this device or the way to
/// the server that failed.
pub fn is_refusal(code: FailureCode) -> bool {
    use FailureCode as F;
    let number = code.number();
    (100..300).contains(&number) && code != F::TrustStateLost
        || matches!(code, F::PayloadDigest | F::Decompression | F::ImageDigest)
}

/// What to do, as one line without a full stop.
pub fn advice(code: FailureCode) -> &'static str {
    use FailureCode as F;
    match code {
        F::Signature => {
            "nothing was installed; tell the maker, or set the device up anew if it was given a wrong root"
        }
        F::Rollback => {
            "nothing was installed; an old copy is served: tell whoever runs the server, or try another"
        }
        F::Expired => "check this device's clock; if it is right, the maker has to publish fresh metadata",
        F::Inconsistent | F::Malformed => {
            "nothing was installed; tell whoever runs the server, and try again later"
        }
        F::TrustStateLost => "perennial-device recover begins again, without going below anything known here",
        F::WrongHardware => "compare `hardware` in the configuration with what the maker builds for",
        F::SecurityVersion => "nothing to do: a release that would undo a security fix is never installed",
        F::Barrier => "nothing to do: the release in between is installed first once it is offered",
        F::Withdrawn => "nothing to do: the maker took it back, and a newer one follows",
        F::RequirementUnknown => "update this agent: the release needs something that it does not know",
        F::SupportShorter => "nothing to do: the longer promise stays; tell the maker",
        F::Unreachable => "check the network and `server` in the configuration, then try again",
        F::BadAnswer => "try again later; if it stays, tell whoever runs the server",
        F::PayloadDigest | F::Decompression | F::ImageDigest => {
            "nothing was activated; try again later, and tell whoever runs the server if it stays"
        }
        F::NoRoom => "free space on the disk of the slots and of the state, then try again",
        F::SlotIo => "check the slots in the configuration, and the disk",
        F::BootControl => "check the boot control file; the boot loader still has a good slot",
        F::DeltaSource | F::DeltaMalformed | F::DeltaMemory => {
            "nothing to do: the release is installed from its full payload"
        }
        F::Hook => "look at what the hook said, mend it, then try again",
        F::Unhealthy | F::DidNotBoot | F::UnattributedReset => {
            "the old release runs; perennial-device history says what happened"
        }
        F::Storage => "check the disk of the state folder: its space, its rights, its health",
        F::Internal | F::Unknown(_) => {
            "this is a defect: please report it with the output of perennial-device status"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_the_releases_fault() {
        for code in
            [FailureCode::Signature, FailureCode::Expired, FailureCode::Withdrawn, FailureCode::PayloadDigest]
        {
            assert!(is_refusal(code), "{code:?}");
        }
        for code in
            [FailureCode::TrustStateLost, FailureCode::Unreachable, FailureCode::NoRoom, FailureCode::Storage]
        {
            assert!(!is_refusal(code), "{code:?}");
        }
        for code in FailureCode::ALL {
            assert!(!advice(*code).ends_with('.') && !advice(*code).contains('\n'), "{code:?}");
        }
    }
}
