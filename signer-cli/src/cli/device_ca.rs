//! `device-ca init|issue|enrolment|revoke|show`

mod report;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use perennial_guess::Guessable;
use perennial_schemas::fleet::Label;
use perennial_schemas::{HardwareName, ProductName};

use self::report::{EnrolmentReport, InitReport, IssueReport, RevokeReport, ShowReport};
use super::common::{Output, PassphraseOptions};
use super::progress::Progress;
use super::{CliError, Io};
use crate::device_ca::authority::{self, Authority};
use crate::device_ca::issue::{Order, Stage, issue};
use crate::device_ca::revoke::{Reason, revoke, serials_of};
use crate::device_ca::show::read_pem;
use crate::device_ca::{DeviceCaError, enrolment, read_serials};
use crate::files;

/// Who a device is.
#[derive(Debug, Subcommand)]
pub(super) enum DeviceCaCommand {
    /// Make a maker's device CA in a folder of its own: a key under a passphrase, and its certificate for servers.
    Init {
        /// The folder, which is best kept where the root keys are.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The maker's name, as people know it.
        #[arg(long)]
        maker: String,
        /// How long the CA lives: longer than any certificate that it gives.
        #[arg(long, default_value_t = 30)]
        years: u8,
        #[command(flatten)]
        passphrase: PassphraseOptions,
        #[command(flatten)]
        output: Output,
    },
    /// Issue factory certificates for a file of requests, all or none, in the same order.
    Issue(IssueArgs),
    /// Issue the certificate of a server's enrolment key.
    Enrolment {
        #[command(flatten)]
        ca: CaOptions,
        /// The server's request (PKCS #10 in PEM).
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// How long the server may enrol devices with it.
        #[arg(long, default_value_t = 365)]
        days: u16,
        /// Where the certificate goes.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Revoke certificates, and write the whole revocation list anew; without any, only that.
    Revoke(RevokeArgs),
    /// Show what stands in certificates, requests and revocation lists.
    Show {
        /// A file of PEM texts.
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
}

/// Which CA, and how to open it.
#[derive(Debug, Args)]
pub(super) struct CaOptions {
    /// The CA's folder.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    #[command(flatten)]
    ca: CaOptions,
    /// Requests (PKCS #10 in PEM), at most 100,000, one after the other. Nothing but their keys is taken from them.
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// The product that all of them are.
    #[arg(long)]
    product: ProductName,
    /// The hardware revision that all of them have.
    #[arg(long)]
    hardware: HardwareName,
    /// An early group that all of them belong to, such as ring=canary; may be given again.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<Label>,
    /// How long they live: as long as a device may.
    #[arg(long)]
    years: u8,
    /// Serial numbers as they are printed on the devices, one a line: keys that are made from one are refused.
    #[arg(long, value_name = "FILE")]
    serials: Option<PathBuf>,
    /// Where the certificates go.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    ca: CaOptions,
    /// A certificate's serial number, in hexadecimal digits; may be given again.
    #[arg(long = "serial", value_name = "SERIAL")]
    serials: Vec<String>,
    /// Certificates that this CA issued.
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// Why.
    #[arg(long, value_enum, default_value_t = Reason::KeyCompromise)]
    reason: Reason,
    /// In how many days the next list is due; servers go on using an old one.
    #[arg(long, default_value_t = 365)]
    days: u16,
    /// Where the list goes; an earlier one is replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl CaOptions {
    fn open(&self, io: &mut Io<'_>) -> Result<Authority, DeviceCaError> {
        Authority::open(&self.ca, |path| self.passphrase.source().ask(io, path))
    }
}

pub(super) fn run(command: DeviceCaCommand, io: &mut Io<'_>) -> Result<(), CliError> {
    match command {
        DeviceCaCommand::Init { out, maker, years, passphrase, output } => {
            authority::refuse_existing(&out)?;
            let words = passphrase.source().ask_new(io, &authority::key_path(&out))?;
            let certificate = authority::init(&out, &maker, years, io.now(), &words)?;
            io.report(output.json, &InitReport::new(&out, &certificate))
        }
        DeviceCaCommand::Issue(args) => run_issue(args, io),
        DeviceCaCommand::Enrolment { ca, request, days, out, output } => {
            let authority = ca.open(io)?;
            let guessable = Guessable::new(Vec::new(), &mut |_| ());
            let issued = enrolment::issue(&authority, &request, days, &guessable, &out, io.now())?;
            io.report(output.json, &EnrolmentReport::new(&out, &issued))
        }
        DeviceCaCommand::Revoke(args) => {
            let authority = args.ca.open(io)?;
            let mut serials = args.serials;
            if let Some(path) = &args.certificates {
                serials.extend(serials_of(&authority, path)?);
            }
            let list = revoke(&authority, &serials, args.reason, args.days, &args.out, io.now())?;
            io.report(args.output.json, &RevokeReport::new(&args.out, &list))
        }
        DeviceCaCommand::Show { file, output } => io.report(output.json, &ShowReport::new(&read_pem(&file)?)),
    }
}

fn run_issue(args: IssueArgs, io: &mut Io<'_>) -> Result<(), CliError> {
    // What can be refused without the passphrase is refused before somebody types it.
    let serials = args.serials.as_deref().map(read_serials).transpose()?.unwrap_or_default();
    files::open(&args.requests).map_err(DeviceCaError::from)?;
    let authority = args.ca.open(io)?;
    let order = Order {
        product: args.product,
        hardware: args.hardware,
        labels: args.labels.into_iter().collect(),
        years: args.years,
    };
    let guessable = {
        let bar = Progress::counting(io, "Trying serial numbers", serials.len() as u64);
        Guessable::new(serials, &mut |count| bar.at(count as u64))
    };
    let reading = Progress::counting(io, "Reading requests", 0);
    let signing = Progress::counting(io, "Signing", 0);
    let batch =
        issue(
            &authority,
            &args.requests,
            &order,
            &guessable,
            &args.out,
            io.now(),
            &mut |stage| match stage {
                Stage::Read(count) => reading.at(count as u64),
                Stage::Signed(count) => signing.at(count as u64),
            },
        )?;
    drop((reading, signing));
    io.report(args.output.json, &IssueReport::new(&order, &batch))
}
