//! `support label`

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use perennial_label::{Label, Size};
use perennial_schemas::{ProductName, RoleName};
use serde::Serialize;

use super::common::{Output, open_repository};
use super::progress::size;
use super::{CliError, Io};
use crate::files;
use crate::proposal::published_support;

#[derive(Debug, Args)]
pub(super) struct LabelArgs {
    /// The product.
    product: ProductName,
    /// The file to write: .svg or .png.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// The public address of the server with the support pages; the QR code leads there.
    #[arg(long, value_name = "URL")]
    address: String,
    /// The size in print: a8 (74 x 52 mm), a7 (105 x 74 mm) or a6 (148 x 105 mm).
    #[arg(long, default_value = "a8")]
    size: Size,
    /// Dots per inch of a PNG, 72 to 1200.
    #[arg(long, value_name = "N", default_value_t = 300)]
    dpi: u16,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct LabelReport {
    file: PathBuf,
    length: u64,
    says: String,
    link: String,
}

/// Draws the label of a product's published record.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(args: LabelArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let LabelArgs { product, out, address, size, dpi, output } = args;
    let (repository, _) = open_repository(repo)?;
    let published = published_support(&repository, &RoleName::from(&product))?;
    let (record, digest) = published.ok_or_else(|| {
        CliError::new(
            format!("{product} has no published support record"),
            "perennial-signer support show lists the products and their dates",
        )
    })?;
    let failed =
        |error| CliError::with_hint(&error, "--address https://updates.maker.example is how one looks");
    let label = Label::new(&record, &digest, io.now().date(), &address).map_err(failed)?;
    let picture = match out.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => label.svg(size).map(String::into_bytes),
        Some("png") => label.png(size, dpi),
        _ => {
            return Err(CliError::new(
                format!("{} is named neither .svg nor .png", out.display()),
                "give the label's file one of these endings",
            ));
        }
    };
    let picture =
        picture.map_err(|error| CliError::with_hint(&error, "--size and --dpi say how large it is"))?;
    files::write(&out, &picture)?;
    let length = picture.len() as u64;
    io.report(output.json, &LabelReport { file: out, length, says: label.description(), link: label.link })
}

impl fmt::Display for LabelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Wrote {}: {}.", self.file.display(), size(self.length))?;
        writeln!(f, "  It says: {}", self.says)?;
        writeln!(f, "  Its code leads to {}", self.link)
    }
}
