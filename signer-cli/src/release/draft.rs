//! What a maker says of a release, and the manifest that is made from it.

use perennial_schemas::document::Document;
use perennial_schemas::ident::{HardwareName, ProductName};
use perennial_schemas::release::{
    Class, Encoding, FixedVulnerability, Image, IndexRef, Notes, Payload, ROLLOUT_FEATURE, Release,
    SecretsLetThrough,
};
use perennial_schemas::rollout::Plan;
use perennial_schemas::{Date, ReleaseVersion, TargetPath, Timestamp};

use super::{ReleaseError, Standing};
use crate::image::Prepared;
use crate::rollout::lint::{OVER, Severity, remarks};

/// How long the files of a release stay available at least, in days: ten years and their leap days (CRA Article 13(9):
/// "a minimum of 10 years … or for the remainder of the support period, whichever is longer").
const AVAILABLE_DAYS: i64 = 3653;

/// The last part of a target path: a consistent name puts 65 bytes before it, and a bundle's paths have at most 180.
const NAME_LENGTH: usize = 115;

/// What a maker says of a release.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its version.
    pub version: ReleaseVersion,
    /// What kind of change it is.
    pub class: Class,
    /// What it means, in plain words.
    pub notes: Notes,
    /// What it fixes.
    pub fixes: Vec<FixedVulnerability>,
    /// Addresses of advisories.
    pub advisories: Vec<String>,
    /// The barrier.
    pub minimum_version: Option<ReleaseVersion>,
    /// For how many days an owner may put it off; without it, as often as the owner says so.
    pub postponable_days: Option<u16>,
    /// Who may have it from when on; without it everybody may at once.
    pub rollout: Option<Plan>,
    /// Accept a plan that is open for everybody by now.
    pub everybody_at_once: bool,
    /// The anti-rollback number; `None` keeps the product's highest (1 for its first release).
    pub security_version: Option<u32>,
    /// The last day on which its files are served; `None` for ten years from now or the end of support, whichever is later.
    pub available_until: Option<Date>,
    /// Accept an earlier day.
    pub shorter_availability: bool,
    /// Whether there is a bill of materials.
    pub sbom: bool,
    /// Why what the scan for secrets finds is none; `None` refuses it.
    pub allow_secrets: Option<String>,
}

/// An image with the hardware revisions that it is for, measured, and with its deltas.
#[derive(Debug)]
pub struct MeasuredImage {
    /// The hardware revisions.
    pub hardware: Vec<HardwareName>,
    /// The image and its full payload.
    pub prepared: Prepared,
    /// What the manifest says of its deltas.
    pub deltas: Vec<Payload>,
}

/// The names of the three files of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageNames {
    /// The compressed payload.
    pub payload: TargetPath,
    /// The payload's index.
    pub payload_index: TargetPath,
    /// The image's index.
    pub index: TargetPath,
}

impl ImageNames {
    /// For the image of `version` for hardware of which `first` is named first.
    ///
    /// # Errors
    /// [`ReleaseError::Name`], [`ReleaseError::Format`] where the names get too long.
    pub fn new(
        product: &ProductName,
        version: &ReleaseVersion,
        first: &HardwareName,
    ) -> Result<Self, ReleaseError> {
        let name = |ending: &str| target(product, &format!("{version}.{first}.image{ending}"));
        Ok(Self { payload: name(".zst")?, payload_index: name(".zst.index")?, index: name(".index")? })
    }
}

/// A target of the product.
///
/// # Errors
/// [`ReleaseError::Format`] where its name is longer than 115 bytes.
pub(super) fn target(product: &ProductName, name: &str) -> Result<TargetPath, ReleaseError> {
    if name.len() > NAME_LENGTH {
        let why = format!("the file name {name} is longer than {NAME_LENGTH} bytes");
        return Err(perennial_schemas::FormatError::shape(Release::WHAT, why).into());
    }
    Ok(format!("{product}/{name}").parse()?)
}

impl Draft {
    /// Checks everything that can be told before the images are read, since that may take an hour.
    ///
    /// # Errors
    /// [`ReleaseError`]: no promise, the version exists, the security version, the availability or the rollout plan don't
    /// fit.
    pub fn check(&self, standing: &Standing, now: Timestamp) -> Result<(), ReleaseError> {
        standing.promise()?;
        if let Some(existing) = standing.releases.keys().find(|version| self.version.rank(version).is_eq()) {
            return Err(ReleaseError::Exists {
                product: standing.product.clone(),
                existing: existing.clone(),
            });
        }
        self.security_version(standing)?;
        self.available_until(standing, now)?;
        let remarks = self.rollout.iter().flat_map(|plan| remarks(plan, None, now));
        let mut refused = remarks.into_iter().filter(|remark| remark.severity == Severity::Error);
        let refused = refused.find(|remark| remark.rule != OVER || !self.everybody_at_once);
        refused.map_or(Ok(()), |remark| Err(ReleaseError::Plan(remark)))
    }

    /// The manifest of the release with these images.
    ///
    /// # Errors
    /// [`ReleaseError`]: as [`Draft::check`], or a rule of the format is broken.
    pub fn manifest(
        &self,
        standing: &Standing,
        images: &[MeasuredImage],
        found: &[String],
        now: Timestamp,
    ) -> Result<Release, ReleaseError> {
        self.check(standing, now)?;
        let product = &standing.product;
        let image = |image: &MeasuredImage| describe(product, &self.version, image);
        let release =
            Release {
                format: Release::FORMAT.into(),
                requires: self.rollout.iter().map(|_| ROLLOUT_FEATURE.into()).collect(),
                product: product.clone(),
                version: self.version.clone(),
                security_version: self.security_version(standing)?,
                class: self.class.clone(),
                created: now,
                notes: self.notes.clone(),
                fixes: self.fixes.clone(),
                minimum_version: self.minimum_version.clone(),
                postponable_days: self.postponable_days,
                rollout: self.rollout.clone(),
                sbom: self.sbom.then(|| self.sbom_path(product)).transpose()?,
                advisories: self.advisories.clone(),
                secrets_let_through: self.allow_secrets.clone().filter(|_| !found.is_empty()).map(|reason| {
                    SecretsLetThrough { reason, found: found.iter().take(64).cloned().collect() }
                }),
                available_until: self.available_until(standing, now)?,
                images: images.iter().map(image).collect::<Result<_, _>>()?,
            };
        release.validate()?;
        Ok(release)
    }

    /// The target path of the bill of materials.
    ///
    /// # Errors
    /// [`ReleaseError::Format`] where it gets too long.
    pub fn sbom_path(&self, product: &ProductName) -> Result<TargetPath, ReleaseError> {
        target(product, &format!("{}.sbom", self.version))
    }

    fn security_version(&self, standing: &Standing) -> Result<u32, ReleaseError> {
        let highest = standing.security_version;
        let asked = self.security_version.unwrap_or(highest.max(1));
        let most = highest.saturating_add(perennial_schemas::limits::SECURITY_VERSION_STEP);
        if (highest.max(1)..=most).contains(&asked) {
            Ok(asked)
        } else {
            Err(ReleaseError::SecurityVersion { asked, highest })
        }
    }

    fn available_until(&self, standing: &Standing, now: Timestamp) -> Result<Date, ReleaseError> {
        let least = now.plus_days(AVAILABLE_DAYS).date().max(standing.promise()?.latest_until());
        match self.available_until {
            Some(asked) if asked < least && !self.shorter_availability => {
                Err(ReleaseError::Availability { asked, least })
            }
            asked => Ok(asked.unwrap_or(least)),
        }
    }
}

fn describe(
    product: &ProductName,
    version: &ReleaseVersion,
    MeasuredImage { hardware, prepared, deltas }: &MeasuredImage,
) -> Result<Image, ReleaseError> {
    let first = hardware
        .first()
        .ok_or_else(|| perennial_schemas::FormatError::shape(Release::WHAT, "an image names no hardware"))?;
    let names = ImageNames::new(product, version, first)?;
    let payload = Payload {
        encoding: Encoding::Zstd,
        target: names.payload,
        length: prepared.payload.length,
        index: IndexRef { target: names.payload_index, root: prepared.payload.index.root },
        source: None,
    };
    Ok(Image {
        hardware: hardware.clone(),
        length: prepared.image.length,
        sha256: prepared.image.sha256,
        index: IndexRef { target: names.index, root: prepared.image.index.root },
        payloads: std::iter::once(payload).chain(deltas.iter().cloned()).collect(),
    })
}
