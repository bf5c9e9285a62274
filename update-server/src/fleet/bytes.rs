//! The compact encoding of rows and events: integers of seven bits a byte, texts with their length before them. A record
//! begins with its version; what can't be read is an error and never a default.

use std::str::FromStr;

/// A record can't be read: a fault of the disk, or a record of a later version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its {0} can't be read")]
pub struct Unreadable(pub &'static str);

/// Writes a record.
#[derive(Debug)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn with_version(version: u8) -> Self {
        let mut bytes = Vec::with_capacity(192);
        bytes.push(version);
        Self(bytes)
    }

    /// A part of a record, with room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    /// Least significant group first, the high bit says that more follow.
    pub(crate) fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    /// Zigzag: small magnitudes stay short, whatever their sign.
    pub(crate) fn signed(&mut self, number: i64) -> &mut Self {
        self.number((number << 1 ^ number >> 63) as u64)
    }

    pub(crate) fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).fixed(bytes)
    }

    pub(crate) fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            None => self.byte(0),
            Some(value) => write(self.byte(1), value),
        }
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads a record.
#[derive(Debug, Clone)]
pub(crate) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Of a record with that version.
    pub(crate) fn of(record: &'a [u8], version: u8) -> Result<Self, Unreadable> {
        match record.split_first() {
            Some((found, rest)) if *found == version => Ok(Self(rest)),
            _ => Err(Unreadable("version")),
        }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, Unreadable> {
        let (byte, rest) = self.0.split_first().ok_or(Unreadable(what))?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, Unreadable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let group = u64::from(byte & 0x7f);
            if group << shift >> shift != group {
                return Err(Unreadable(what));
            }
            number |= group << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Unreadable(what))
    }

    pub(crate) fn small(&mut self, what: &'static str) -> Result<u32, Unreadable> {
        self.number(what)?.try_into().map_err(|_| Unreadable(what))
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, Unreadable> {
        let number = self.number(what)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(self.number(what)?).map_err(|_| Unreadable(what))?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Unreadable(what))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Unreadable> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Unreadable(what))?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.bytes(what)?).map_err(|_| Unreadable(what))
    }

    pub(crate) fn name<T: FromStr>(&mut self, what: &'static str) -> Result<T, Unreadable> {
        self.text(what)?.parse().map_err(|_| Unreadable(what))
    }

    pub(crate) fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.byte(what)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Unreadable(what)),
        }
    }

    /// As many elements as the record says, each at least a byte long.
    pub(crate) fn list<T>(
        &mut self,
        what: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let length = self.number(what)?;
        if length > self.0.len() as u64 {
            return Err(Unreadable(what));
        }
        (0..length).map(|_| read(self)).collect()
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable("end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_short_is_refused() {
        let mut encoder = Encoder::with_version(7);
        encoder.number(u64::MAX).signed(i64::MIN).signed(-1).text("é").option(Some(3), |e, n| e.number(n));
        let record = encoder.option(None::<u64>, |e, n| e.number(n)).fixed(&[9; 4]).finish();
        let read = |record: &[u8]| {
            let mut decoder = Decoder::of(record, 7)?;
            let numbers = (decoder.number("a")?, decoder.signed("b")?, decoder.signed("c")?);
            let text = decoder.text("d")?.to_owned();
            let options = (decoder.option("e", |d| d.number("e"))?, decoder.option("f", |d| d.number("f"))?);
            let fixed: [u8; 4] = decoder.fixed("g")?;
            decoder.end()?;
            Ok::<_, Unreadable>((numbers, text, options, fixed))
        };
        let expected = ((u64::MAX, i64::MIN, -1), "é".to_owned(), (Some(3), None), [9; 4]);
        assert_eq!(read(&record), Ok(expected));
        for length in 0..record.len() {
            assert!(read(&record[..length]).is_err(), "{length}");
        }
        assert_eq!(read(&[&record[..], &[0]].concat()), Err(Unreadable("end")));
        assert_eq!(Decoder::of(&record, 8).unwrap_err(), Unreadable("version"));
        // A number of more than 64 bits.
        assert!(Decoder(&[0xff; 11]).number("n").is_err());
        assert!(Decoder(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).number("n").is_err());
    }
}
