//! `repository init|import`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use perennial_schemas::key_file::KeyFile;

use super::common::{Output, PassphraseOptions, open_repository, read_keys};
use super::proposal::{Made, publish_now, sign_now};
use super::{CliError, Io};
use crate::ceremony::Holders;
use crate::ceremony::import::{self, Imported};
use crate::ceremony::init::{self, Roles};
use crate::crypto::Ring;
use crate::files;
use crate::keys::{public_path, read_public};
use crate::proposal::{Proposal, ProposalError};

/// What to do with a repository.
#[derive(Debug, Subcommand)]
pub(super) enum RepositoryCommand {
    /// Make a repository: propose its first root. With --key alone, one key holds every role, and the root is signed
    /// and published at once.
    Init(InitArgs),
    /// Take in a repository that tuftool or python-tuf made, as it stands. Bring its keys with key import.
    Import {
        /// The folder with its metadata files.
        metadata: PathBuf,
        /// The folder with its target files; without it `targets` beside the metadata.
        #[arg(long, value_name = "DIR")]
        targets: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// One private key for every role that no other option names.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Public halves of the root's keys.
    #[arg(long, value_name = "PUB", value_delimiter = ',')]
    root_key: Vec<PathBuf>,
    /// How many root keys must sign.
    #[arg(long, value_name = "K")]
    root_threshold: Option<u32>,
    /// Public halves of the targets role's keys; without them the root's.
    #[arg(long, value_name = "PUB", value_delimiter = ',')]
    targets_key: Vec<PathBuf>,
    /// How many targets keys must sign.
    #[arg(long, value_name = "K")]
    targets_threshold: Option<u32>,
    /// Public halves of the snapshot's keys, of which one must sign; without them those of the targets role.
    #[arg(long, value_name = "PUB", value_delimiter = ',')]
    snapshot_key: Vec<PathBuf>,
    /// How many snapshot keys must sign.
    #[arg(long, value_name = "K", default_value_t = 1)]
    snapshot_threshold: u32,
    /// Public halves of the timestamp's keys, of which one must sign: the server's and an offline one; without them
    /// those of the snapshot.
    #[arg(long, value_name = "PUB", value_delimiter = ',')]
    timestamp_key: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseOptions,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(command: RepositoryCommand, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    match command {
        RepositoryCommand::Init(args) => init(&args, repo, io),
        RepositoryCommand::Import { metadata, targets, output } => {
            let beside = || metadata.parent().unwrap_or(Path::new(".")).join("targets");
            let targets = targets.unwrap_or_else(beside);
            let _alone = files::lock_folder(repo)?;
            io.report(output.json, &ImportReport(import::import(repo, &metadata, &targets)?))
        }
    }
}

fn init(args: &InitArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    if args.key.is_none() && args.root_key.is_empty() {
        let hint = "give --key FILE for one key that holds every role; for several, --root-key PUB once for each, and \
                    --root-threshold; perennial-signer key new FILE makes one";
        return Err(CliError::new("no key was given", hint));
    }
    let secret = args.key.as_ref().map(|path| args.passphrase.open_key(io, path)).transpose()?;
    let own = match (&args.key, &secret) {
        (Some(path), Some(secret)) => Some(public_half(path, secret.public())?),
        _ => None,
    };
    let roles = roles(args, own.as_ref())?;
    // Held to the end, as `publish` holds it.
    let _alone = files::lock_folder(repo)?;
    let proposal = init::propose(repo, &roles, io.now())?;
    let Some(secret) = secret else {
        return {
            let made = Made::new(repo, &proposal, io)?;
            io.report(args.output.json, &made)
        };
    };
    let (repository, _) = open_repository(repo)?;
    sign_now(&proposal, &repository, &secret, io)?;
    let proposal = Proposal::open(&proposal.dir)?;
    let standing = crate::proposal::Standing::new(&proposal, &repository);
    if standing.is_ready()? {
        let published = publish_now(&proposal, &repository, false, io)?;
        return io.report(args.output.json, &published);
    }
    {
        let made = Made::new(repo, &proposal, io)?;
        io.report(args.output.json, &made)
    }
}

fn roles(args: &InitArgs, own: Option<&KeyFile>) -> Result<Roles, CliError> {
    let or =
        |paths: &[PathBuf], threshold, what: &str, default: Option<&Holders>| -> Result<Holders, CliError> {
            let keys = read_keys(paths)?;
            match (keys.is_empty(), own, default) {
                (true, Some(own), _) => Ok(Holders::new(what, vec![own.clone()], threshold)?),
                (true, None, Some(default)) => Ok(default.clone()),
                _ => Ok(Holders::new(what, keys, threshold)?),
            }
        };
    let root = or(&args.root_key, args.root_threshold, "root", None)?;
    let targets = or(&args.targets_key, args.targets_threshold, "targets", Some(&root))?;
    let one = |holders: &Holders| Holders { keys: holders.keys.clone(), threshold: 1 };
    let snapshot = or(&args.snapshot_key, Some(args.snapshot_threshold), "snapshot", Some(&one(&targets)))?;
    let mut timestamp = or(&args.timestamp_key, Some(1), "timestamp", Some(&one(&snapshot)))?;
    // The one key of a short form signs timestamps offline, beside the server.
    if let Some(own) = own.filter(|own| timestamp.keys.iter().all(|key| key.keyid != own.keyid)) {
        timestamp.keys.push(own.clone());
    }
    Ok(Roles { root, targets, snapshot, timestamp })
}

/// What was taken in.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct ImportReport(Imported);

impl std::fmt::Display for ImportReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Imported { root, roles, targets, consistent_snapshot } = &self.0;
        writeln!(f, "Took in root {root}, {roles} role(s) and {targets} target file(s), all verified.")?;
        if !consistent_snapshot {
            writeln!(
                f,
                "Its file names carry no versions; the next change of the root says that they do from then on."
            )?;
        }
        writeln!(
            f,
            "Next: bring its keys with key import, and lay their public halves into keys/, so that reviews name them."
        )?;
        writeln!(f, "root show lists whose are asked for.")
    }
}

/// The public half beside a private key, or one made from it.
fn public_half(path: &Path, key: perennial_schemas::tuf::Key) -> Result<KeyFile, CliError> {
    let beside = public_path(path);
    if files::exists(&beside) {
        let file = read_public(&beside)?;
        if file.key == key {
            return Ok(file);
        }
    }
    let label = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or("key".into());
    Ok(KeyFile::new(&label, key, &Ring).map_err(ProposalError::from)?)
}
