//! Every cap of the formats, with the attack that it stops. All sizes are in bytes.
//!
//! An input past one of these is refused with an error that names the limit; nothing is truncated.

/// A root file. Five hundred ed25519 keys with signatures come to about 200 KB. Stops endless data while a
/// device walks the root chain, where no length is known beforehand (TUF 5.3.3, W).
pub const ROOT_LENGTH: u64 = 512 * 1024;

/// A timestamp file: one entry and its signatures, about 1 KB. Stops endless data (TUF 5.4.1, X).
pub const TIMESTAMP_LENGTH: u64 = 16 * 1024;

/// A snapshot file, used even when the timestamp says more: 16,384 roles at about 150 bytes are 2.4 MB.
/// Stops a stolen timestamp key from filling a device's memory (TUF 5.5.1, Y).
pub const SNAPSHOT_LENGTH: u64 = 4 * 1024 * 1024;

/// A targets file, top-level or delegated: 10,000 targets at about 190 bytes are 1.9 MB (TUF 5.6.1, Z).
pub const TARGETS_LENGTH: u64 = 8 * 1024 * 1024;

/// Root files walked in one refresh. A walk that stops here persists what it has and goes on at the next
/// refresh, so no device is stranded (TUF 5.3.3, Y = 2^10).
pub const ROOT_ROTATIONS: u32 = 1024;

/// Targets in one role that a signer writes. A release of one image has four, so this is 3,000 releases of a product. The
/// file then has 1.7 MB, and a device needs 27.6 MB to read it (docs/decisions/0006). Stops a product from growing past
/// what its devices can load: from there on its files stand in hashed bins.
pub const TARGETS_IN_A_ROLE: usize = 12_000;

/// Targets in one hashed bin. A device that installs a release by a delta looks up nine files and holds the bins of all of
/// them, so this is a ninth of the above.
pub const TARGETS_IN_A_BIN: usize = TARGETS_IN_A_ROLE / 9;

/// Delegated roles visited while looking for one target. Stops a delegatee from sending devices around
/// (TUF 5.6.7.1).
pub const DELEGATED_ROLES_VISITED: usize = 64;

/// Files of delegated roles that one refresh takes in, together: two at their limit. A device needs the role of its
/// product, or with hashed bins one for each target that it asks for. Stops a team whose role is signed from filling a
/// device's memory by delegating on: 64 roles a search, each at its limit, are 512 MiB. A server and a signer, who read
/// every role, take [`WALKED_LENGTH`].
pub const DELEGATED_LENGTH: u64 = 2 * TARGETS_LENGTH;

/// Files of delegated roles that a walk over everything takes in, together: 150 products of 12,000 targets, at 1.7 MB.
/// Stops one team from filling the memory of the server that all of them share: with the files, which it keeps until they
/// are on the disk, and the list of their targets it needs three times their length, at most 0.8 GB
/// (`bench-memory walk`, docs/decisions/0006).
pub const WALKED_LENGTH: u64 = 256 * 1024 * 1024;

/// Nesting of JSON arrays and objects. TUF needs 7. Stops stack exhaustion.
pub const JSON_DEPTH: usize = 24;

/// Values in one JSON text. 10,000 targets have about 50,000. Stops a short text of tiny values from becoming
/// a large tree: 262,144 values at about 56 bytes are 14 MiB.
pub const JSON_VALUES: usize = 256 * 1024;

/// Signatures on one file. Stops verification work without end: 64 ed25519 checks take under 10 ms.
pub const SIGNATURES: usize = 64;

/// Keys in one root or delegation. Stops the same with keys.
pub const KEYS: usize = 1024;

/// The text of a public key: a 4096-bit RSA key in PEM is 800 bytes.
pub const PUBLIC_KEY_LENGTH: usize = 8 * 1024;

/// A key id. TUF's are 64 hexadecimal digits; others are opaque.
pub const KEY_ID_LENGTH: usize = 256;

/// A role name, and so its file name without version: file systems allow 255 bytes, the version takes 21.
pub const ROLE_NAME_LENGTH: usize = 200;

/// A target path. Its last part gets 65 bytes of hash in front, and file systems allow 255 bytes.
pub const TARGET_PATH_LENGTH: usize = 512;

/// Delegations in one targets file. One is at least 8 JSON values (itself, name, key ids and one, threshold, terminating,
/// paths and one) and 280 bytes of indented text: 24,000 are 192,000 values and 6.7 MB, within [`JSON_VALUES`] and
/// [`TARGETS_LENGTH`].
pub const DELEGATIONS: usize = 24_000;

/// `bit_length` of succinct roles (TAP 15 allows 1 to 32).
pub const SUCCINCT_BITS: u8 = 32;

/// A release manifest: 64 images with 32 payloads each at 300 bytes are 600 KB.
pub const RELEASE_LENGTH: u64 = 1024 * 1024;

/// A channel file: 4,096 releases at 150 bytes.
pub const CHANNEL_LENGTH: u64 = 1024 * 1024;

/// A support file: 64 promises with reasons of 2,000 characters, cohorts, notices and statements.
pub const SUPPORT_LENGTH: u64 = 512 * 1024;

/// A report of one device.
pub const REPORT_LENGTH: u64 = 16 * 1024;

/// A public key file that people hand around.
pub const KEY_FILE_LENGTH: u64 = 16 * 1024;

/// Images in one release, and payloads of one image.
pub const IMAGES: usize = 64;
/// Payloads (the full one and deltas) of one image.
pub const PAYLOADS: usize = 64;
/// What a device says of its support: five texts of aftercare, 16 contacts, a sentence.
pub const DEVICE_SUPPORT_LENGTH: u64 = 128 * 1024;
/// Releases in a channel, offered or withdrawn.
pub const CHANNEL_RELEASES: usize = 4096;
/// Promises in a support record.
pub const PROMISES: usize = 64;
/// Bytes that a support record may grow by at once. With its other bounds it stops a stolen key from filling a record, which is
/// only ever added to, in one publication.
pub const SUPPORT_STEP: usize = 48 * 1024;
/// Cohorts in a support record.
pub const COHORTS: usize = 128;
/// Batches or ranges of serial numbers of one cohort or statement.
pub const BATCHES: usize = 256;
/// Notices in a support record: one a month for twenty years.
pub const NOTICES: usize = 256;
/// Statements of compliance in a support record.
pub const STATEMENTS: usize = 64;
/// Identifiers of a product (GTIN, part number, …).
pub const IDENTIFIERS: usize = 128;
/// Annulments in a root file.
pub const ANNULMENTS: usize = 256;
/// Entries of a `requires` list.
pub const REQUIRES: usize = 32;
/// A free text (notes, reasons, contacts), in bytes of UTF-8.
pub const TEXT_LENGTH: usize = 8 * 1024;
/// Fixed vulnerabilities that a release names.
pub const VULNERABILITIES: usize = 512;

/// How much `security_version` may rise from one release to the next, so that nobody can burn a counter.
pub const SECURITY_VERSION_STEP: u32 = 16;

/// How far ahead of a verifier's clock an offline signature may say that it was made, in seconds: an hour, for a signer's machine
/// without a network whose clock nobody has set for years. Signers refuse to sign and to publish what says more, and servers to
/// take it in: devices take such a date for the time at least, and for consent to what was stopped before it.
pub const SIGNED_AHEAD_SECONDS: i64 = 3600;

/// How far ahead of its signing a support date may lie, in days: 25 years and their leap days.
pub const SUPPORT_DAYS_AHEAD: i64 = 25 * 365 + 7;

/// The header of a bundle: 65,000 files at about 200 bytes.
pub const BUNDLE_HEADER_LENGTH: u64 = 16 * 1024 * 1024;
/// Files in a bundle. Each is 4 JSON values, and the rest of a header at most 40: 260,040, within [`JSON_VALUES`].
pub const BUNDLE_FILES: usize = 65_000;

/// Largest image: 256 GiB, 262,144 chunks of 1 MiB.
pub const IMAGE_LENGTH: u64 = 1 << 38;
/// Chunks in one image index: 2,048 pages of 128. The root of the index is then 64 KiB + 32 bytes.
pub const INDEX_CHUNKS: u64 = 262_144;

/// Labels of a device, all in its certificate: 16 at 80 bytes keep a certificate under 3 KiB.
pub const LABELS: usize = 16;
/// Attributes that a device tells of itself. Stops a product (or a stolen key) from making a database of the fleet plane.
pub const ATTRIBUTES: usize = 32;
/// The value of an attribute, in bytes of UTF-8.
pub const ATTRIBUTE_LENGTH: usize = 256;
/// The name and version of an agent, in bytes.
pub const AGENT_LENGTH: usize = 64;
/// A certificate request in PEM: a P-256 or ed25519 key, no names, under 600 bytes. Stops a large RSA key, whose check costs
/// the server more than it costs the sender.
pub const CERTIFICATE_REQUEST_LENGTH: usize = 4 * 1024;
/// One certificate, in DER: ours have at most 3 KiB, with 16 labels.
pub const CERTIFICATE_LENGTH: usize = 4 * 1024;
/// Certificates of a chain that are looked at, the leaf first: leaf, enrolment CA, device CA, and one to spare. Stops path
/// building without end.
pub const CHAIN_CERTIFICATES: usize = 4;
/// A chain in PEM: [`CHAIN_CERTIFICATES`] at [`CERTIFICATE_LENGTH`], 4 bytes for 3.
pub const CHAIN_LENGTH: usize = 24 * 1024;
/// A request for enrolment.
pub const ENROLMENT_LENGTH: u64 = 8 * 1024;
/// What enrolment answers: a chain, in which each line break is two bytes.
pub const ENROLLED_LENGTH: u64 = 32 * 1024;
/// A check-in: 32 attributes at 64 + 256 bytes, of which each may be escaped to two, are 20 KB.
pub const CHECK_IN_LENGTH: u64 = 32 * 1024;
/// An answer of the fleet plane that says little: of a check-in, a receipt, a refusal.
pub const FLEET_ANSWER_LENGTH: u64 = 16 * 1024;
/// Reports in one queue: as many as a device's journal holds.
pub const QUEUE_REPORTS: usize = 128;
/// One device's queue: 128 reports at 4 KiB. An agent's own come to 2 KiB, with 240 bytes of detail, each escaped to six.
pub const QUEUE_LENGTH: u64 = 512 * 1024;
/// The answer to a queue: 128 flags at 60 bytes.
pub const ACKNOWLEDGED_LENGTH: u64 = 32 * 1024;
/// Queues that a gateway sends together. At one or two signatures each, checked at 10,000 a second, the server answers after
/// a tenth of a second.
pub const BATCH_QUEUES: usize = 512;
/// A gateway's batch: 512 queues at 16 KiB (their certificates and some twenty reports). Stops a gateway from holding a
/// server's memory; a longer one is sent in parts.
pub const BATCH_LENGTH: u64 = 8 * 1024 * 1024;
/// The answer to a batch: 512 at 2 KiB.
pub const BATCH_ANSWER_LENGTH: u64 = 1024 * 1024;
/// What the server holds on one device, as its owner may ask for it.
pub const DEVICE_DATA_LENGTH: u64 = 8 * 1024 * 1024;
/// Lines of a receipt that say what is kept.
pub const KEPT: usize = 16;
/// A line that the fleet plane says to people: an error, a hint, what is kept. In bytes of UTF-8.
pub const LINE_LENGTH: usize = 1024;

/// Phases of a rollout plan: one a day for two months. A device walks them at each decision.
pub const ROLLOUT_PHASES: usize = 64;
/// Early groups of a rollout plan, each with up to [`LABELS`] labels.
pub const EARLY_GROUPS: usize = 16;
/// Days of a rollout from its first phase to its last, and days for which a device may be held past its time: a year. Stops a
/// plan that never opens.
pub const ROLLOUT_DAYS: u64 = 366;
/// A rollout status: two texts, names, one signature. Stops endless data.
pub const ROLLOUT_STATUS_LENGTH: u64 = 32 * 1024;
