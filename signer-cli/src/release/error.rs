//! Why a release or a channel can't be proposed.

use std::path::PathBuf;

use perennial_schemas::ident::{ChannelName, HardwareName, NotAName, ProductName};
use perennial_schemas::limits::SECURITY_VERSION_STEP;
use perennial_schemas::{Date, FormatError, ReleaseVersion};

use crate::cli::Advise;
use crate::delta::make::MakeError;
use crate::files::FileError;
use crate::image::ImageError;
use crate::proposal::ProposalError;
use crate::repository::RepositoryError;
use crate::rollout::lint::Remark;

/// Why a release or a channel can't be proposed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is published can't be worked with.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The proposal can't be made.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// What was asked for breaks a rule of the formats.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Version and hardware name make a file name that is too long.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// A published file of the product is not what the metadata say.
    #[error("{}: {why}", path.display())]
    Published {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// An image can't be released.
    #[error("{}", path.display())]
    Image {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// An image holds what must never be in one.
    #[error("{}: {first}{}", path.display(), match more { 0 => String::new(), more => format!("; and {more} more") })]
    Secret {
        /// The image's file.
        path: PathBuf,
        /// What was found first, and where.
        first: String,
        /// How much more.
        more: u64,
    },
    /// One hardware revision has two images.
    #[error("two images for hardware {0}")]
    HardwareTwice(HardwareName),
    /// The version exists, perhaps spelled otherwise.
    #[error("{product} has a release {existing} already")]
    Exists {
        /// The product.
        product: ProductName,
        /// The release that there is.
        existing: ReleaseVersion,
    },
    /// The security version falls, or rises by more than 16.
    #[error(
        "security version {asked} can't follow {highest}: it never falls, and rises by at most {SECURITY_VERSION_STEP}"
    )]
    SecurityVersion {
        /// What was asked for.
        asked: u32,
        /// The highest that is published.
        highest: u32,
    },
    /// Nobody has promised how long the product is supported.
    #[error("{0} has no support promise")]
    NoPromise(ProductName),
    /// The files of the release would vanish too early.
    #[error("the files of a release stay available until {least} at least, not {asked}")]
    Availability {
        /// What was asked for.
        asked: Date,
        /// Ten years from now, or the end of support where that is later.
        least: Date,
    },
    /// No such release.
    #[error("{product} has no release {version}")]
    NoRelease {
        /// The product.
        product: ProductName,
        /// What was asked for.
        version: ReleaseVersion,
    },
    /// The release has no image for any hardware of the new one.
    #[error("{version} has no image for hardware of this release")]
    NoImageFor {
        /// What a delta was to start from.
        version: ReleaseVersion,
    },
    /// What a delta starts from can't be had, or the delta isn't right.
    #[error("no delta from {version}: {why}")]
    DeltaFrom {
        /// What it was to start from.
        version: ReleaseVersion,
        /// Why.
        why: String,
        /// Whether that version was asked for, and not just the newest ones.
        asked: bool,
    },
    /// A delta can't be made of these two images.
    #[error("no delta from {version}")]
    DeltaMade {
        /// What it was to start from.
        version: ReleaseVersion,
        /// Why.
        source: MakeError,
    },
    /// No such channel.
    #[error("{product} has no channel {channel}")]
    NoChannel {
        /// The product.
        product: ProductName,
        /// What was asked for.
        channel: ChannelName,
        /// Those that there are.
        known: Vec<ChannelName>,
    },
    /// The channel exists.
    #[error("{product} has a channel {channel} already")]
    ChannelExists {
        /// The product.
        product: ProductName,
        /// What was asked for.
        channel: ChannelName,
    },
    /// The release is on no channel.
    #[error("no channel of {product} offers {version}")]
    NotOffered {
        /// The product.
        product: ProductName,
        /// The release.
        version: ReleaseVersion,
    },
    /// A withdrawn release can't be offered again.
    #[error("{product} {version} was withdrawn: devices refuse it for good")]
    Withdrawn {
        /// The product.
        product: ProductName,
        /// The release.
        version: ReleaseVersion,
    },
    /// The rollout plan gives the release to everybody by a slip.
    #[error("the rollout plan can't be signed: {}", .0.what)]
    Plan(Remark),
    /// The rollout plan names hardware that the release isn't for.
    #[error("the rollout plan names hardware {0}, for which there is no image")]
    PlanHardware(HardwareName),
    /// The product's support has not ended.
    #[error("{product} is supported until {until}: its releases should not be signed for years yet")]
    StillSupported {
        /// The product.
        product: ProductName,
        /// The last day of support.
        until: Date,
    },
    /// Nothing would change.
    #[error("{0}")]
    Nothing(String),
}

impl Advise for ReleaseError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::Repository(e) => e.advice(),
            Self::Proposal(e) => e.advice(),
            Self::Format(_) => "change what you ask for so that it fits".into(),
            Self::Secret { .. } => {
                "take it out of the image: everybody who has an update could read it; a false alarm passes with \
                 --allow-secret-in-image REASON, and the reason is signed"
                    .into()
            }
            Self::Name(_) => "take a shorter version or hardware name".into(),
            Self::Published { .. } => "somebody changed this folder: restore it from a copy that you trust".into(),
            Self::Image { source: ImageError::Empty, .. } => "name the image that devices shall install".into(),
            Self::Image { source: ImageError::Changed { .. }, .. } => "wait until the build has finished, then try again".into(),
            Self::Image { source: ImageError::Write(_), .. } => "check the free space of the repository's folder".into(),
            Self::Image { .. } => "check the path and the permissions".into(),
            Self::HardwareTwice(_) => "give each hardware revision one --image".into(),
            Self::Exists { .. } => "take the next version; what is published never changes".into(),
            Self::SecurityVersion { highest, .. } => {
                format!("leave --security-version out to keep {highest}, or give the next one, {}", highest.saturating_add(1))
            }
            Self::NoPromise(product) => format!(
                "promise it first: perennial-signer product add {product} --support-until DATE --reason TEXT --contact FILE"
            ),
            Self::Availability { .. } => {
                "leave --available-until out; where another law holds, add --shorter-availability-than-the-cra-asks".into()
            }
            Self::NoRelease { product, .. } => format!("perennial-signer channel show {product} lists the releases"),
            Self::NoImageFor { .. } => "leave it out of --delta-from: its devices take the full payload".into(),
            Self::DeltaMade { source, .. } => source.advice(),
            Self::DeltaFrom { asked: false, .. } => {
                "make fewer with --delta-last, or take a copy of the repository that has all its files".into()
            }
            Self::DeltaFrom { version, .. } => {
                format!("leave --delta-from {version} out, or take a copy of the repository that has all its files")
            }
            Self::NoChannel { product, channel, known } if known.is_empty() => {
                format!("make it first: perennial-signer channel create {product} {channel}")
            }
            Self::NoChannel { product, channel, known } => {
                let known: Vec<_> = known.iter().map(ChannelName::as_str).collect();
                format!("there is {}; or make it: perennial-signer channel create {product} {channel}", known.join(", "))
            }
            Self::ChannelExists { product, channel } => {
                format!("offer releases on it: perennial-signer channel offer {product} VERSION --channel {channel}")
            }
            Self::NotOffered { product, version } => format!(
                "offer it first: perennial-signer channel offer {product} {version} --channel stable"
            ),
            Self::Withdrawn { .. } => "propose its content as a new version".into(),
            Self::Plan(remark) => remark.todo.into(),
            Self::PlanHardware(_) => "leave it out of the plan's hardware, or add its --image".into(),
            Self::StillSupported { .. } => "wait for that day; where no release will come, add --before-support-ends".into(),
            Self::Nothing(_) => "nothing has to be done".into(),
        }
    }
}
