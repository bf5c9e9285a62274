//! Limits that can be reached: a number that another limit never lets through would promise too much.

use perennial_schemas::bundle::{BundleFile, BundleHeader, PREFIX_LENGTH};
use perennial_schemas::fleet::*;
use perennial_schemas::limits::*;
use perennial_schemas::signed::to_text;
use perennial_schemas::tuf::{Delegation, Targets};
use perennial_schemas::{Document, Sha256Digest, Signed, Timestamp};

use crate::samples;

fn header(files: usize) -> BundleHeader {
    let file = |n: usize| BundleFile {
        path: format!("targets/thermostat/{n}").parse().unwrap(),
        length: 1,
        sha256: Sha256Digest([1; 32]),
    };
    BundleHeader::new(Timestamp::EPOCH, (0..files).map(file).collect())
}

#[test]
fn a_bundle_with_as_many_files_as_it_may_have_is_read_back() {
    let bytes = header(BUNDLE_FILES).encode().unwrap();
    assert_eq!(BundleHeader::parse(&bytes[PREFIX_LENGTH..]).unwrap().files.len(), BUNDLE_FILES);
    let error = header(BUNDLE_FILES + 1).encode().unwrap_err().to_string();
    assert!(error.contains("more than 65000 files"), "{error}");
    // What such a header may require fits beside them: the reader refuses it for what it does not know.
    let mut header = header(BUNDLE_FILES);
    header.requires = vec!["teleport".into(); REQUIRES];
    let error = BundleHeader::parse(&header.encode().unwrap()[PREFIX_LENGTH..]).unwrap_err().to_string();
    assert!(error.contains("teleport"), "{error}");
}

fn delegating(roles: usize) -> Targets {
    let mut targets = samples::targets();
    let delegations = targets.delegations.as_mut().unwrap();
    let one: Delegation = delegations.roles.as_ref().unwrap()[0].clone();
    let keyids = vec![one.keyids[0].clone()];
    let role = |n: usize| Delegation {
        name: format!("r{n}").parse().unwrap(),
        keyids: keyids.clone(),
        threshold: 1,
        ..one.clone()
    };
    delegations.roles = Some((0..roles).map(role).collect());
    targets
}

#[test]
fn a_role_with_as_many_delegations_as_it_may_have_is_read_back() {
    let text = samples::sign(delegating(DELEGATIONS), &[3]);
    let read = Signed::<Targets>::parse(&text).unwrap();
    let roles = read.unverified().delegations.as_ref().unwrap().roles.as_ref().unwrap();
    assert_eq!(roles.len(), DELEGATIONS);
    let error = Signed::<Targets>::parse(&samples::sign(delegating(DELEGATIONS + 1), &[3])).unwrap_err();
    assert!(error.to_string().contains("more than 24000 delegations"), "{error}");
}

/// The worst that passes each single limit also passes the limit of the whole text.
#[test]
fn the_longest_check_in_and_the_longest_journal_are_read_back() {
    let mut check_in = samples::check_in();
    let name = |n: usize| format!("{n:064}").parse().unwrap();
    check_in.attributes = (0..ATTRIBUTES).map(|n| (name(n), "\"".repeat(ATTRIBUTE_LENGTH))).collect();
    check_in.agent = "\"".repeat(AGENT_LENGTH);
    assert_eq!(CheckIn::parse(&to_text(&check_in).unwrap()).unwrap(), check_in);
    check_in.attributes.insert(name(ATTRIBUTES), String::new());
    let error = CheckIn::parse(&to_text(&check_in).unwrap()).unwrap_err().to_string();
    assert!(error.contains("more than 32 attributes"), "{error}");

    // As the agent's journal cuts a detail: 240 bytes, of which a terrible one escapes each to six.
    let one = samples::queue().reports.remove(0);
    let report = |n: usize| perennial_schemas::report::Report {
        sequence: u64::MAX - (QUEUE_REPORTS - n) as u64,
        detail: "\u{1}".repeat(240),
        ..one.clone()
    };
    let queue = ReportQueue::new(one.device.clone(), (0..QUEUE_REPORTS).map(report).collect());
    assert_eq!(ReportQueue::parse(&to_text(&queue).unwrap()).unwrap(), queue);
    let queue = ReportQueue::new(one.device.clone(), (0..=QUEUE_REPORTS).map(report).collect());
    let error = ReportQueue::parse(&to_text(&queue).unwrap()).unwrap_err().to_string();
    assert!(error.contains("more than 128 reports"), "{error}");

    let queue = samples::batch().queues.remove(0);
    let mut batch = samples::batch();
    batch.queues = vec![queue; BATCH_QUEUES];
    assert_eq!(ReportBatch::parse(&to_text(&batch).unwrap()).unwrap(), batch);
    batch.queues.push(batch.queues[0].clone());
    let error = ReportBatch::parse(&to_text(&batch).unwrap()).unwrap_err().to_string();
    assert!(error.contains("more than 512 queues"), "{error}");
}
