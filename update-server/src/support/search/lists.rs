//! Many short lists and texts in one piece of memory each: an index of 20,000 products has some 80,000 of them, and two
//! allocations for each would take more than what lies in them.

/// Texts, each found by its number.
#[derive(Debug, Default)]
pub(super) struct Texts {
    all: String,
    ends: Vec<u32>,
}

impl Texts {
    pub(super) fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len() as u32);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A text by its number; past the last, nothing.
    pub(super) fn get(&self, at: usize) -> &str {
        self.all.get(span(&self.ends, at)).unwrap_or_default()
    }

    /// The first from number `from` on that isn't `before`, where all that are come first. It steps further and further,
    /// then halves: what is near is found fast.
    pub(super) fn first_from(&self, from: usize, before: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut step) = (from, 1);
        while low + step <= self.len() && before(self.get(low + step - 1)) {
            low += step;
            step *= 2;
        }
        let mut high = (low + step - 1).min(self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Lists of products' numbers, each found by its own number.
#[derive(Debug, Default)]
pub(super) struct Lists {
    all: Vec<u32>,
    ends: Vec<u32>,
}

impl Lists {
    /// Adds `number` to the last list.
    pub(super) fn add(&mut self, number: u32) {
        self.all.push(number);
        if let Some(end) = self.ends.last_mut() {
            *end += 1;
        }
    }

    /// Begins another list.
    pub(super) fn begin(&mut self) {
        self.ends.push(self.all.len() as u32);
    }

    /// A list by its number; past the last, an empty one.
    pub(super) fn get(&self, at: usize) -> &[u32] {
        self.all.get(span(&self.ends, at)).unwrap_or_default()
    }
}

fn span(ends: &[u32], at: usize) -> std::ops::Range<usize> {
    let start = at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default();
    let end = ends.get(at).copied().unwrap_or(start);
    start as usize..end as usize
}
