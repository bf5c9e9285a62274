//! One value of each format, from which its golden vector was made. Keys come from fixed seeds and sign nothing else.

use std::collections::BTreeMap;

use perennial_schemas::bundle::{BundleFile, BundleHeader};
use perennial_schemas::channel::{Channel, Offered, Withdrawn};
use perennial_schemas::crypto::{Digest, RunningDigest, SignatureError, VerifySignature};
use perennial_schemas::digest::{decode_hex, encode_hex};
use perennial_schemas::fleet::*;
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::release::*;
use perennial_schemas::report::{FailureCode, Outcome, Report};
use perennial_schemas::rollout::*;
use perennial_schemas::signed::{Envelope, Signature};
use perennial_schemas::support::*;
use perennial_schemas::tuf::*;
use perennial_schemas::{Document, Json, Sha256Digest, Timestamp};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// ed25519 and SHA-256 by ring: this crate has no cryptography of its own.
pub(crate) struct Ring;
pub(crate) struct Running(ring::digest::Context);

impl Digest for Ring {
    type Running = Running;
    fn start(&self) -> Running {
        Running(ring::digest::Context::new(&ring::digest::SHA256))
    }
}

impl RunningDigest for Running {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(self) -> Sha256Digest {
        Sha256Digest(self.0.finish().as_ref().try_into().unwrap())
    }
}

impl VerifySignature for Ring {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if key.scheme != "ed25519" {
            return Err(SignatureError::UnknownScheme);
        }
        let public = decode_hex(key.public()).ok_or(SignatureError::MalformedKey)?;
        UnparsedPublicKey::new(&ED25519, public)
            .verify(message, signature)
            .map_err(|_| SignatureError::Mismatch)
    }
}

/// The key pair of seed `[n; 32]`.
pub(crate) fn pair(n: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap()
}

pub(crate) fn key(n: u8) -> Key {
    Key::ed25519(pair(n).public_key().as_ref().try_into().unwrap())
}

pub(crate) fn sign<T: serde::Serialize>(signed: T, seeds: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope { signed, signatures: Vec::new() };
    let message = envelope.canonical().unwrap();
    envelope.signatures = seeds
        .iter()
        .map(|n| Signature {
            keyid: key(*n).id(&Ring).unwrap(),
            sig: encode_hex(pair(*n).sign(&message).as_ref()),
        })
        .collect();
    envelope.to_text().unwrap()
}

fn common(kind: &str, version: u64) -> Common {
    let at = |text: &str| text.parse().unwrap();
    Common::new(kind, version, at("2027-11-21T12:00:00Z"), Some(at("2026-11-21T12:00:00Z")))
}

fn role(seeds: &[u8], threshold: u32) -> RoleKeys {
    RoleKeys::new(seeds.iter().map(|n| key(*n).id(&Ring).unwrap()).collect(), threshold)
}

fn keys(seeds: &[u8]) -> KeyMap {
    seeds.iter().map(|n| (key(*n).id(&Ring).unwrap(), key(*n))).collect()
}

pub(crate) fn root() -> Root {
    let mut keys = keys(&[1, 2, 3, 4, 5]);
    // A key of the future: kept, never counted.
    let future: Key =
        serde_json::from_str(r#"{"keytype":"slh-dsa","scheme":"x","keyval":{"public":"?","n":1}}"#).unwrap();
    keys.insert("an-opaque-key-id".parse().unwrap(), future);
    let mut root_role = role(&[1, 2, 3], 2);
    root_role.keyids.push("an-opaque-key-id".parse().unwrap());
    let roles = [
        ("root", root_role),
        ("targets", role(&[3], 1)),
        ("snapshot", role(&[4], 1)),
        ("timestamp", role(&[5], 1)),
    ];
    let roles = roles.into_iter().map(|(name, role)| (name.to_string(), role)).collect();
    let extra = BTreeMap::from([("x-unknown".to_string(), Json::Array(vec![Json::Null]))]);
    Root { common: common("root", 1), consistent_snapshot: true, keys, roles, annulments: vec![], extra }
}

fn meta(version: u64) -> MetaFile {
    let hashes = Hashes::from([("sha256".into(), "ab".repeat(32))]);
    MetaFile { version, length: Some(1234), hashes: Some(hashes), extra: Extra::new() }
}

pub(crate) fn timestamp() -> TimestampRole {
    let mut common = common("timestamp", 1_795_262_400);
    common.signed_at = None;
    TimestampRole { common, meta: BTreeMap::from([("snapshot.json".into(), meta(7))]), extra: Extra::new() }
}

pub(crate) fn rollout_status() -> RolloutStatus {
    let issued = Timestamp::from_unix(1_795_176_000);
    RolloutStatus {
        common: Common::new(RolloutStatus::TYPE, 12, issued.plus_days(1), None),
        product: "thermostat".parse().unwrap(),
        manifest: Sha256Digest([7; 32]),
        key: key(8).id(&Ring).unwrap(),
        issued,
        open: 50_000,
        state: RolloutState::Halted,
        stopped: vec![],
        since: issued.plus_seconds(-3600),
        reason: "12 of 97 devices went back".into(),
        stopped_reasons: BTreeMap::new(),
        audit: "".into(),
    }
}

pub(crate) fn snapshot() -> Snapshot {
    let meta = BTreeMap::from([("targets.json".into(), meta(3)), ("thermostat.json".into(), meta(9))]);
    Snapshot { common: common("snapshot", 7), meta, extra: Extra::new() }
}

pub(crate) fn targets() -> Targets {
    let delegation = |name: &str, paths: Option<&str>, prefixes: Option<&str>| Delegation {
        name: name.parse().unwrap(),
        keyids: role(&[6, 7], 2).keyids,
        threshold: 2,
        terminating: true,
        paths: paths.map(|path| vec![path.into()]),
        path_hash_prefixes: prefixes.map(|prefix| vec![prefix.into()]),
        extra: Extra::new(),
    };
    let roles =
        vec![delegation("thermostat", Some("thermostat/*"), None), delegation("bin", None, Some("0a"))];
    let delegations =
        Delegations { keys: keys(&[6, 7]), roles: Some(roles), succinct_roles: None, extra: Extra::new() };
    let mut file = TargetFile::new(9, &Sha256Digest([0xcd; 32]));
    file.custom = Some(Json::parse(br#"{"any":["thing",1]}"#).unwrap());
    let targets = BTreeMap::from([("notes.txt".into(), file)]);
    Targets { common: common("targets", 3), targets, delegations: Some(delegations), extra: Extra::new() }
}

pub(crate) fn succinct_targets() -> Targets {
    let succinct = SuccinctRoles {
        keyids: role(&[6], 1).keyids,
        threshold: 1,
        bit_length: 8,
        name_prefix: "bin".into(),
        extra: Extra::new(),
    };
    let delegations =
        Delegations { keys: keys(&[6]), roles: None, succinct_roles: Some(succinct), extra: Extra::new() };
    Targets {
        common: common("targets", 4),
        targets: BTreeMap::new(),
        delegations: Some(delegations),
        extra: Extra::new(),
    }
}

pub(crate) fn release() -> Release {
    let index = |name: &str, n: u8| IndexRef { target: name.parse().unwrap(), root: Sha256Digest([n; 32]) };
    let payload = |encoding: &str, name: &str, length| Payload {
        encoding: String::from(encoding).into(),
        target: name.parse().unwrap(),
        length,
        index: index(&format!("{name}.index"), 2),
        source: None,
    };
    let image = Image {
        hardware: vec!["revB".parse().unwrap(), "revC".parse().unwrap()],
        length: 50_000_000,
        sha256: Sha256Digest([9; 32]),
        index: index("thermostat/2.1.0.revC.image.index", 1),
        payloads: vec![
            payload("zstd", "thermostat/2.1.0.revC.image.zst", 17_000_000),
            payload("an-encoding-of-the-future", "thermostat/2.1.0.revC.from-2.0.0.delta", 300_000),
        ],
    };
    Release {
        format: Release::FORMAT.into(),
        requires: vec![],
        product: "thermostat".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        security_version: 4,
        class: Class::Combined { reason: "The fix needs the new radio driver.".into() },
        created: "2026-11-21T12:00:00Z".parse().unwrap(),
        notes: Notes {
            what: "Closes a hole in the pairing screen.".into(),
            why: "Somebody within radio range could have paired with your thermostat.".into(),
            interruption_seconds: 90,
        },
        fixes: vec![FixedVulnerability {
            id: "CVE-2026-12345".into(),
            severity: Severity::High,
            disclosed: None,
        }],
        minimum_version: Some("2.0.0".parse().unwrap()),
        postponable_days: None,
        sbom: Some("thermostat/2.1.0.sbom.json".parse().unwrap()),
        advisories: vec!["https://example.com/advisories/7".into()],
        secrets_let_through: None,
        rollout: None,
        available_until: "2036-11-21".parse().unwrap(),
        images: vec![image],
    }
}

/// A release with a rollout plan.
pub(crate) fn release_with_rollout() -> Release {
    let mut release = release();
    let start = release.created.plus_days(1);
    let phase = |share, days, spread| Phase { share, not_before: start.plus_days(days), spread };
    release.requires = vec![ROLLOUT_FEATURE.into()];
    release.rollout = Some(Plan {
        salt: Salt::new((0..16).collect()).unwrap(),
        key: key(8),
        phases: vec![
            phase(10_000, 0, Spread::AtOnce),
            phase(50_000, 1, Spread::Linear),
            phase(WHOLE, 6, Spread::AtOnce),
        ],
        early: vec![EarlyGroup { labels: vec!["beta".parse().unwrap()], not_before: start.plus_days(-1) }],
        hardware: Some(vec!["revC".parse().unwrap()]),
        gate: Gate {
            ceiling_ppm: 20_000,
            alpha_ppm: 50_000,
            beta_ppm: 50_000,
            least_sample: 50,
            least_soak_seconds: 86_400,
        },
        max_hold_seconds: 14 * 86_400,
        on_deadline: OnDeadline::Consent,
        catch_up_seconds: 86_400,
        status_max_age_seconds: 3600,
    });
    release
}

/// The status of a rollout that goes on for all hardware revisions but one.
pub(crate) fn rollout_status_of_one_revision() -> RolloutStatus {
    let (state, stopped) = (RolloutState::Running, vec!["revD".parse().unwrap()]);
    RolloutStatus { state, stopped, ..rollout_status() }
}

/// The same, saying why.
pub(crate) fn rollout_status_with_the_reason_of_one_revision() -> RolloutStatus {
    let why = "it failed on 12 of 20 devices of revD, more than the ceiling allows";
    let stopped_reasons = BTreeMap::from([("revD".parse().unwrap(), why.into())]);
    RolloutStatus { stopped_reasons, ..rollout_status_of_one_revision() }
}

/// A release with two deltas.
pub(crate) fn release_with_deltas() -> Release {
    let mut release = release();
    let delta = |from: &str, n: u8, length| {
        let name = format!("thermostat/2.1.0.revC.from-{from}.delta");
        let index =
            |target: &str, n: u8| IndexRef { target: target.parse().unwrap(), root: Sha256Digest([n; 32]) };
        Payload {
            encoding: Encoding::Delta,
            index: index(&format!("{name}.index"), n),
            target: name.parse().unwrap(),
            length,
            source: Some(DeltaSource {
                version: from.parse().unwrap(),
                length: 49_000_000,
                sha256: Sha256Digest([n + 1; 32]),
                index: index(&format!("thermostat/{from}.revC.image.index"), n + 2),
            }),
        }
    };
    let payloads = &mut release.images[0].payloads;
    payloads.truncate(1);
    payloads.extend([delta("2.0.0", 20, 300_000), delta("1.9.0", 30, 700_000)]);
    release
}

pub(crate) fn channel() -> Channel {
    let mut channel = Channel::new("thermostat".parse().unwrap(), "stable".parse().unwrap());
    channel.releases = vec![Offered { version: "2.1.0".parse().unwrap(), manifest: Sha256Digest([1; 32]) }];
    channel.withdrawn = vec![Withdrawn {
        version: "2.0.9".parse().unwrap(),
        manifest: Sha256Digest([2; 32]),
        reason: "It drains the battery.".into(),
        at: "2026-11-20T08:00:00Z".parse().unwrap(),
    }];
    channel
}

fn promise(made: &str, until: &str, reason: &str) -> Promise {
    Promise::new(made.parse().unwrap(), until.parse().unwrap(), reason)
}

pub(crate) fn support() -> Support {
    let mut contact = VulnerabilityContact::new("mailto:security@example.com", 5, 14);
    contact.contacts.push("https://example.com/security".into());
    contact.policy = Some("https://example.com/security/policy".into());
    let first = promise("2026-01-05T09:00:00Z", "2031-06-30", "Five years from the last sale that we plan.");
    let second = promise("2026-11-21T12:00:00Z", "2033-06-30", "We go on selling it for two more years.");
    let mut support = Support::new("thermostat".parse().unwrap(), first, contact);
    support.promises.push(second);
    support
}

/// A record with everything that one can hold.
pub(crate) fn support_full() -> Support {
    let published = support();
    let mut record = published.successor(Sha256Digest([7; 32]), "2027-03-01T08:00:00Z".parse().unwrap());
    let party =
        Party { name: "Hearth Ltd".into(), address: "1 Mill Lane\nLeeds LS1 1AA\nUnited Kingdom".into() };
    let representative =
        Party { name: "Hearth BV".into(), address: "Kade 2\n1011 AA Amsterdam\nNetherlands".into() };
    record.maker = Some(Maker {
        party: party.clone(),
        website: Some("https://hearth.example".into()),
        representatives: vec![representative.clone()],
    });
    record.model = Some(Model {
        name: "Glow thermostat".into(),
        designation: "GT-200".into(),
        kind: "Room thermostat".into(),
        identifiers: vec![
            Identifier { scheme: "gtin14".into(), value: "04006381333931".into() },
            Identifier { scheme: "mpn".into(), value: "GT-200/W".into() },
        ],
        hardware: vec![HardwareRevision {
            name: "revC".parse().unwrap(),
            marking: "HW C on the back".into(),
        }],
        automatic_updates: true,
        connects_to: vec!["updates.hearth.example".into()],
    });
    let cohort = |name: &str, from: &str, until: Option<&str>| Cohort {
        name: name.parse().unwrap(),
        label: format!("Units {name}"),
        find: "The first four digits of the serial number, on the back.".into(),
        placed_from: from.parse().unwrap(),
        placed_until: until.map(|date| date.parse().unwrap()),
        batches: vec!["2601-2652".into()],
        markets: vec!["GB".into()],
        hardware: vec!["revC".parse().unwrap()],
    };
    record.cohorts =
        vec![cohort("made-2026", "2026-01-05", Some("2026-12-31")), cohort("made-2027", "2027-01-01", None)];
    let mut third = promise("2027-01-02T08:00:00Z", "2049-12-31", "Made by a stolen key.");
    third.kinds = vec![UpdateKind::Security];
    let mut fourth = promise("2027-03-01T08:00:00Z", "2035-06-30", "Sold for two years longer.");
    fourth.cohorts = vec!["made-2027".parse().unwrap()];
    fourth.from = Some("2027-01-01".parse().unwrap());
    fourth.components = vec!["The thermostat's firmware".into()];
    fourth.kinds = vec![UpdateKind::Security, UpdateKind::Functionality];
    record.promises.extend([third, fourth]);
    record.annulled = vec![annulment()];
    record.notices = vec![Notice {
        made: "2027-02-01T08:00:00Z".parse().unwrap(),
        kind: NoticeKind::Vulnerability(OpenVulnerability {
            id: "CVE-2027-1000".into(),
            severity: Severity::High,
            disclosed: "2027-01-30".parse().unwrap(),
        }),
        text: "Somebody within radio range can turn the heating off.".into(),
        advice: "Turn pairing off until the update is there.".into(),
        cohorts: vec!["made-2026".parse().unwrap()],
    }];
    record.contact.encryption = Some("https://example.com/security/key.asc".into());
    record.contact.languages = vec!["en".into(), "de".into()];
    record.aftercare = Some(Aftercare {
        after: "It goes on to heat by its dial and its weekly plan.".into(),
        isolate: "Menu, Network, Forget.".into(),
        wipe: "Hold the dial for ten seconds.".into(),
        dispose: "Take it to a collection point for electrical waste.".into(),
        replace: "Its successor fits the same wall plate.".into(),
    });
    record.compliance = Some(Compliance {
        statements: vec![Statement {
            product_type: "Room thermostat GT-200".into(),
            batches: vec!["2601-2652".into()],
            manufacturers: vec![party],
            representatives: vec![representative],
            schedule: 2,
            standards: vec![Standard {
                number: "ETSI EN 303 645".into(),
                version: "V2.1.1".into(),
                date: "2020-06-30".parse().unwrap(),
            }],
            support_at_first_supply: "2031-06-30".parse().unwrap(),
            signatory: "A. Smith".into(),
            function: "Head of compliance".into(),
            place: "Leeds".into(),
            date: "2026-01-04".parse().unwrap(),
        }],
    });
    record.seal()
}

pub(crate) fn annulment() -> Annulment {
    Annulment {
        product: "thermostat".parse().unwrap(),
        promise: 3,
        made: "2027-01-02T08:00:00Z".parse().unwrap(),
        guaranteed_until: "2049-12-31".parse().unwrap(),
        reason: "A signing key was stolen on 1 January 2027.".into(),
        at: "2027-01-09T08:00:00Z".parse().unwrap(),
    }
}

pub(crate) fn summary() -> Summary {
    Summary::of(&support_full(), Sha256Digest([8; 32]), "2027-03-02".parse().unwrap(), false)
}

pub(crate) fn on_device() -> OnDevice {
    let (today, expires) = ("2030-05-02".parse().unwrap(), "2030-06-01T00:00:00Z".parse().unwrap());
    let cohort = "made-2026".parse().ok();
    let said = OnDevice::of(&support_full(), Sha256Digest([8; 32]), cohort.as_ref(), today, Some(expires));
    let refused = RefusedRecord {
        since: "2030-05-01T08:00:00Z".parse().unwrap(),
        code: FailureCode::SupportShorter,
        why: "promise 2 of the published record is missing or was changed; promises are only ever added"
            .into(),
    };
    OnDevice { last_seen: Some("2030-05-02".parse().unwrap()), refused: Some(refused), ..said }
}

pub(crate) fn report() -> Report {
    Report {
        format: Report::FORMAT.into(),
        requires: vec![],
        device: "device-0017".parse().unwrap(),
        sequence: 12,
        at: "2026-11-21T12:34:56Z".parse().unwrap(),
        product: "thermostat".parse().unwrap(),
        hardware: "revC".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        manifest: Sha256Digest([1; 32]),
        outcome: Outcome::RolledBack,
        failure: Some(FailureCode::Unhealthy),
        detail: "the health script ended with 1".into(),
    }
}

pub(crate) fn report_of_a_delta() -> Report {
    Report {
        outcome: Outcome::DeltaFailed,
        failure: Some(FailureCode::DeltaSource),
        detail: "chunk 0 of slot A is not what the signed index says".into(),
        ..report()
    }
}

fn device() -> DeviceId {
    DeviceId::of_key(&Sha256Digest([7; 32]))
}

fn at() -> perennial_schemas::Timestamp {
    "2026-11-21T12:34:56Z".parse().unwrap()
}

pub(crate) fn enrolment() -> Enrolment {
    let begin = "-----BEGIN CERTIFICATE REQUEST-----\n";
    Enrolment::new(format!("{begin}AAAA\n-----END CERTIFICATE REQUEST-----\n"))
}

pub(crate) fn enrolled() -> Enrolled {
    let one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    Enrolled {
        format: Enrolled::FORMAT.into(),
        requires: vec![],
        device: device(),
        chain: one.repeat(2),
        renew_after: "2027-01-20T12:34:56Z".parse().unwrap(),
        epoch: 1,
        ticket: Ticket::of_bytes(&[1; 16]),
    }
}

pub(crate) fn check_in() -> CheckIn {
    let attributes = [("battery.cycles", "17"), ("uptime", "412 h")];
    CheckIn {
        format: CheckIn::FORMAT.into(),
        requires: vec![],
        at: at(),
        product: "thermostat".parse().unwrap(),
        hardware: "revC".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        version: "2.0.0".parse().unwrap(),
        security_version: 3,
        manifest: Some(Sha256Digest([1; 32])),
        agent: "perennial-device 0.1.0".into(),
        attributes: attributes
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.into()))
            .collect(),
        ticket: Some(Ticket::of_bytes(&[1; 16])),
    }
}

/// From the factory, and without consent.
pub(crate) fn first_check_in() -> CheckIn {
    CheckIn { manifest: None, attributes: BTreeMap::new(), ticket: None, ..check_in() }
}

pub(crate) fn checked_in() -> CheckedIn {
    CheckedIn::new(Ticket::of_bytes(&[2; 16]), 12, 86_400)
}

pub(crate) fn queue() -> ReportQueue {
    let report = |sequence, report: Report| Report { device: device(), sequence, ..report };
    ReportQueue::new(device(), vec![report(12, report_of_a_delta()), report(14, self::report())])
}

pub(crate) fn acknowledged() -> Acknowledged {
    Acknowledged::new(14, vec![Flagged { sequence: 12, flag: Flag::ClockAhead }])
}

pub(crate) fn batch() -> ReportBatch {
    let text = String::from_utf8(perennial_schemas::signed::to_text(&queue()).unwrap()).unwrap();
    let signed = SignedQueue {
        chain: vec!["AAAA".into(), "AAA=".into()],
        reports: text.clone(),
        signature: Some("AA==".into()),
    };
    let unsigned = SignedQueue { chain: vec![], reports: text, signature: None };
    ReportBatch { format: ReportBatch::FORMAT.into(), requires: vec![], queues: vec![signed, unsigned] }
}

pub(crate) fn batch_answer() -> BatchAnswer {
    let acknowledged = QueueAnswer::Acknowledged { device: device(), acknowledged: 14, flagged: vec![] };
    let error = "queue 2 bears no signature of its device".into();
    let refused = QueueAnswer::Refused { error, code: RefusalCode::NotSigned };
    BatchAnswer { format: BatchAnswer::FORMAT.into(), requires: vec![], answers: vec![acknowledged, refused] }
}

pub(crate) fn erasure() -> Erasure {
    Erasure {
        format: Erasure::FORMAT.into(),
        requires: vec![],
        device: device(),
        at: at(),
        erased: Erased { reports: 14, check_ins: 1, attributes: 2, keys: 2 },
        kept: vec!["That a device was erased, and when: the audit log is never shortened.".into()],
        audit: AuditMark { sequence: 99, digest: Sha256Digest([9; 32]) },
    }
}

pub(crate) fn fleet_refusal() -> Refusal {
    let hint = "wait as long as Retry-After says";
    Refusal::new(RefusalCode::Rate, "this device asks more than once a second", hint)
}

pub(crate) fn key_file() -> KeyFile {
    KeyFile::new("Ada, root", key(1), &Ring).unwrap()
}

pub(crate) fn bundle() -> Vec<u8> {
    let contents = b"{}\n";
    let file = BundleFile {
        path: "metadata/1.root.json".parse().unwrap(),
        length: contents.len() as u64,
        sha256: Ring.sha256(contents),
    };
    let header = BundleHeader::new("2026-11-21T12:00:00Z".parse().unwrap(), vec![file]);
    [header.encode().unwrap().as_slice(), contents].concat()
}

/// 129 chunks of 4 KiB, so that there are two pages; the last chunk has 5 bytes.
pub(crate) fn index() -> (Vec<u8>, Sha256Digest) {
    let shape = Shape::new(128 * 4096 + 5, 12).unwrap();
    let chunks = (0..shape.chunks()).map(|n| Ring.sha256(&n.to_le_bytes())).collect();
    Index::new(shape, chunks).unwrap().encode(&Ring)
}
