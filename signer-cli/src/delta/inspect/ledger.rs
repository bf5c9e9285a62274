//! What decisions cost: a coder that passes everything on and keeps accounts.

use std::collections::BTreeMap;

use perennial_device_core::delta::coder::{Coder, Decoder, Input, Subject};

/// What was spent on each subject.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    subject: Subject,
    /// Bits, all together.
    pub(super) bits: f64,
    /// By subject: bits, and how often it was coded.
    pub(super) entries: BTreeMap<Subject, Entry>,
}

/// One account.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Entry {
    pub(super) bits: f64,
    pub(super) count: u64,
}

/// A decoder whose decisions are charged to a ledger.
pub(super) struct Charged<'l, I> {
    pub(super) decoder: Decoder<I>,
    pub(super) ledger: &'l mut Ledger,
}

impl<I: Input> Coder for Charged<'_, I> {
    fn bit(&mut self, bit: bool, one: u32) -> bool {
        let bit = self.decoder.bit(bit, one);
        let of = if bit { one } else { 65_536 - one };
        self.ledger.spend(16.0 - f64::from(of).log2());
        bit
    }

    fn about(&mut self, subject: Subject) {
        self.ledger.subject = subject;
        self.ledger.entries.entry(subject).or_default().count += 1;
    }
}

impl Ledger {
    fn spend(&mut self, bits: f64) {
        self.bits += bits;
        self.entries.entry(self.subject).or_default().bits += bits;
    }
}
