use super::*;
use crate::crypto::RunningDigest;
use alloc::vec;

/// Digests by ring, so that the tests are about real ones.
struct Ring;
struct Running(ring::digest::Context);

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
        Sha256Digest(core::array::from_fn({
            let digest = self.0.finish();
            move |i| digest.as_ref()[i]
        }))
    }
}

fn index(length: u64) -> Index {
    let shape = Shape::new(length, 12).unwrap();
    let chunks = (0..shape.chunks()).map(|n| Ring.sha256(&n.to_le_bytes())).collect();
    Index::new(shape, chunks).unwrap()
}

#[test]
fn an_index_is_read_back_whole_and_page_by_page() {
    for length in [1, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 300 * 4096] {
        let index = index(length);
        let (bytes, root) = index.encode(&Ring);
        assert_eq!(bytes.len() as u64, index.shape().index_length());
        assert_eq!(Index::verify(&bytes, &root, &Ring).unwrap(), index);

        let end = index.shape().root_length() as usize;
        let checked = IndexRoot::verify(&bytes[..end], &root, &Ring).unwrap();
        let (at, length) = checked.shape().page(0).unwrap();
        let page = &bytes[at as usize..(at + length) as usize];
        assert_eq!(checked.verify_page(0, page, &Ring).unwrap()[0], *index.chunk_digest(0).unwrap());
        assert!(checked.verify_page(checked.shape().pages(), page, &Ring).is_err());
    }
}

#[test]
fn every_changed_byte_is_found() {
    let (bytes, root) = index(130 * 4096).encode(&Ring);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(Index::verify(&changed, &root, &Ring).is_err(), "byte {at}");
    }
    for end in [0, 7, 31, 32, bytes.len() - 1] {
        assert!(Index::verify(&bytes[..end], &root, &Ring).is_err(), "cut at {end}");
    }
    let long = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(Index::verify(&long, &root, &Ring), Err(IndexError::Length { .. })));
}

#[test]
fn impossible_shapes_are_refused_even_when_signed() {
    let header = |length: u64, bits: u8, chunks: u64| {
        let mut header = [0; HEADER_LENGTH];
        header[..8].copy_from_slice(MAGIC);
        header[8] = LAYOUT;
        header[9] = bits;
        header[16..24].copy_from_slice(&length.to_le_bytes());
        header[24..].copy_from_slice(&chunks.to_le_bytes());
        header
    };
    assert!(Shape::decode(&header(4096, 12, 1)).is_ok());
    for (length, bits, chunks) in
        [(0, 12, 0), (4096, 11, 2), (4096, 21, 1), (4096, 12, 2), (1 << 39, 20, 1 << 19), (u64::MAX, 12, 1)]
    {
        assert_eq!(Shape::decode(&header(length, bits, chunks)), Err(IndexError::Shape), "{length} {bits}");
    }
    let mut reserved = header(4096, 12, 1);
    reserved[12] = 1;
    assert_eq!(Shape::decode(&reserved), Err(IndexError::NotAnIndex));
}

#[test]
fn the_last_chunk_holds_the_rest() {
    let shape = Shape::new(4096 * 2 + 5, 12).unwrap();
    assert_eq!(shape.chunk(2), Some((8192, 5)));
    assert_eq!(shape.chunk(3), None);
    assert_eq!(shape.chunk(u64::MAX), None);
    assert_eq!(shape.page(0), Some((64, 96)));
    assert_eq!(vec![shape.chunks(), shape.pages()], [3, 1]);
}
