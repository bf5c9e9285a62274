//! Documents of ours in plain words.

use perennial_schemas::FormatError;
use perennial_schemas::channel::Channel;
use perennial_schemas::document::Document;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::release::Release;
use perennial_schemas::support::Support;

use crate::crypto::Ring;
use crate::plain;
use crate::proposal::{ProposalFile, SignatureFile};
use crate::support::review;
use crate::terminal::quoted;

/// What kind of document it is, and what it says; `None` for a format that isn't ours.
pub(super) fn says(format: &str, bytes: &[u8]) -> Result<Option<(String, Vec<String>)>, FormatError> {
    let (kind, lines) = match format {
        Release::FORMAT => (Release::WHAT, plain::release(&Release::parse(bytes)?)),
        Channel::FORMAT => (Channel::WHAT, channel(&Channel::parse(bytes)?)),
        Support::FORMAT => (Support::WHAT, support(&Support::parse(bytes)?)),
        KeyFile::FORMAT => (KeyFile::WHAT, key(&KeyFile::parse(bytes)?)),
        ProposalFile::FORMAT => (ProposalFile::WHAT, proposal(&ProposalFile::parse(bytes)?)),
        SignatureFile::FORMAT => (SignatureFile::WHAT, signature(&SignatureFile::parse(bytes)?)),
        _ => return Ok(None),
    };
    Ok(Some((kind.into(), lines)))
}

fn channel(channel: &Channel) -> Vec<String> {
    let mut lines = vec![format!("Channel {} of {}.", channel.channel, channel.product)];
    lines.extend(
        channel
            .releases
            .iter()
            .map(|offered| format!("Offers {}, manifest {}", offered.version, offered.manifest)),
    );
    lines.extend(channel.withdrawn.iter().map(|gone| {
        format!(
            "Has withdrawn {} at {}: {} (manifest {})",
            gone.version,
            gone.at,
            quoted(&gone.reason),
            gone.manifest
        )
    }));
    lines
}

fn support(record: &Support) -> Vec<String> {
    let until = record.guaranteed_until().in_words();
    let mut lines = vec![format!(
        "Record {} of {}: every unit is supported until {until} at least.",
        record.sequence,
        quoted(record.display_name())
    )];
    for (index, promise) in record.promises.iter().enumerate() {
        let annulled = if record.is_annulled(index) { " ANNULLED by root." } else { "" };
        let (made, reason) = (promise.made, quoted(&promise.reason));
        lines.push(format!("Promised at {made}: {}.{annulled} Reason: {reason}", review::promised(promise)));
    }
    lines.extend(record.notices.iter().flat_map(review::told));
    lines.extend(review::contact(&record.contact));
    let statements = record.compliance.iter().flat_map(|compliance| &compliance.statements);
    lines.extend(statements.flat_map(review::stated));
    lines
}

fn key(file: &KeyFile) -> Vec<String> {
    let fits = if file.id_fits(&Ring) {
        "its id is that of the key"
    } else {
        "WRONG: its id is not that of the key"
    };
    vec![
        format!("The key of {}.", quoted(&file.label)),
        format!("{} {}, {fits}.", file.key.keytype, file.key.public()),
        format!("Key id {}", file.keyid),
    ]
}

fn proposal(file: &ProposalFile) -> Vec<String> {
    vec![
        format!("{}: {}, made {}.", file.kind, quoted(&file.summary), file.created),
        "A label for people; perennial-signer review shows what would be signed.".into(),
    ]
}

fn signature(file: &SignatureFile) -> Vec<String> {
    vec![format!(
        "By key {} over {} version {}, at {} (not verified here).",
        file.keyid, file.role, file.version, file.signed_at
    )]
}
