//! A delta applied frame by frame, by the device's decoder.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use perennial_device_core::delta::packing::codec::PackedBefore;
use perennial_device_core::delta::{Delta, DeltaError, OldImage};
use perennial_device_core::port::PortError;
use perennial_schemas::delta::{HEADER_LENGTH, Header, ImageId};
use perennial_schemas::report::FailureCode;

use super::{Chunks, Made};

/// An old image in a file.
#[derive(Debug)]
pub struct OldFile(pub File);

impl OldImage for OldFile {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), DeltaError> {
        let read = self.0.seek(SeekFrom::Start(offset)).and_then(|_| self.0.read_exact(into));
        read.map_err(|error| {
            let operation = "reading the old image";
            DeltaError::Old(PortError::new(FailureCode::DeltaSource, operation, error.to_string()))
        })
    }
}

/// Makes the image `new` of `old`, whose identities the delta must name, whatever memory it asks for: a header bounds that.
/// Parts that were packed `before` are taken as they are.
///
/// # Errors
/// [`io::Error`] in words; what was made by then is of no use.
pub fn delta(
    mut chunks: Chunks<'_, '_>,
    (old, from): (&mut dyn OldImage, ImageId),
    new: ImageId,
    before: Option<Box<dyn PackedBefore>>,
    made: &mut Made<'_, '_>,
) -> io::Result<()> {
    let header = read_header(&mut chunks)?;
    if header.old != from {
        return Err(io::Error::other("it is a delta from another image than the manifest says"));
    }
    if header.new != new {
        return Err(io::Error::other("it is a delta to another image"));
    }
    let mut delta = Delta::new(header, u64::MAX).map_err(io::Error::other)?;
    if let Some(before) = before {
        delta.recall(before);
    }
    let mut frame = Vec::new();
    for number in 0..delta.header().frames.len() {
        let length = delta.header().frames.get(number).map_or(0, |frame| frame.length);
        frame.clear();
        (&mut chunks).take(length).read_to_end(&mut frame)?;
        if frame.len() as u64 != length {
            return Err(io::Error::other(format!("it ends in frame {number}")));
        }
        let mut trouble = None;
        let done = delta.frame(number, frame.iter(), old, &mut |bytes| {
            made.write_all(bytes).map_err(|error| {
                let told = PortError::new(FailureCode::ImageDigest, "making the image", error.to_string());
                trouble = Some(error);
                DeltaError::Output(told)
            })
        });
        match (trouble, done) {
            (Some(error), _) => return Err(error),
            (None, done) => done.map_err(io::Error::other)?,
        }
    }
    match io::copy(&mut chunks, &mut io::sink())? {
        0 => Ok(()),
        more => Err(io::Error::other(format!("{more} bytes stand after its last frame"))),
    }
}

fn read_header(chunks: &mut Chunks<'_, '_>) -> io::Result<Header> {
    let mut start = vec![0; HEADER_LENGTH];
    chunks.read_exact(&mut start)?;
    let length = Header::length(&start).map_err(io::Error::other)?;
    // At most a MiB.
    start.resize(length, 0);
    chunks.read_exact(&mut start[HEADER_LENGTH..])?;
    Header::parse(&start).map_err(io::Error::other)
}
