//! A release before the fleet: where each device stands in its rollout, what each remembers of it, and how the build fares.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use perennial_device_core::crypto::Ring;
use perennial_schemas::fleet::Label;
use perennial_schemas::rollout::{
    Admission, Memory, Place, Plan, RolloutStatus, Standing, StatusRefused, Wait, admit, bucket,
    catch_up_part,
};
use perennial_schemas::signed::Signed;
use perennial_schemas::{HardwareName, ProductName, ReleaseVersion, Sha256Digest, Timestamp};

use super::unit;

/// What becomes of a build on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It works.
    Works,
    /// It isn't healthy, and the device goes back.
    Fails,
    /// The device is never heard of again.
    Bricks,
}

/// How a build fares.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// The share of devices on which it fails, in parts per million, by hardware revision; the entry without one is for all
    /// others.
    pub fails: BTreeMap<Option<HardwareName>, u32>,
    /// The share of devices that it bricks, in parts per million.
    pub bricks: u32,
}

impl Build {
    /// What becomes of it on a device, for a number up to a million that luck has drawn.
    pub fn fate(&self, hardware: &HardwareName, drawn: u32) -> Fate {
        let fails = self.fails.get(&Some(hardware.clone())).or_else(|| self.fails.get(&None)).copied();
        let fails = fails.unwrap_or(0);
        match drawn {
            _ if drawn < fails => Fate::Fails,
            _ if drawn < fails + self.bricks => Fate::Bricks,
            _ => Fate::Works,
        }
    }
}

/// A release.
pub struct Offer {
    /// Its version.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// Its plan, where it has one.
    pub plan: Option<Plan>,
    /// Whether the channel offers it.
    pub offered: bool,
    /// How it fares.
    pub build: Build,
    product: ProductName,
    /// What the plan's key has signed last, or why it doesn't count.
    status: Option<Result<RolloutStatus, StatusRefused>>,
    /// What `status` was read from.
    text: Vec<u8>,
    /// Bucket and part of the catch-up, by device.
    places: Vec<(u32, u32)>,
    /// The greatest sequence number seen, by device.
    seen: Vec<u64>,
    memory: HashMap<usize, Memory>,
}

impl Offer {
    /// A release that so many devices hear of.
    pub fn new(
        product: &ProductName,
        version: ReleaseVersion,
        manifest: Sha256Digest,
        plan: Option<Plan>,
        devices: usize,
    ) -> Self {
        let place = |plan: &Plan, number: usize| {
            let id = unit::id(number);
            (bucket(&plan.salt, &id, &Ring), catch_up_part(&plan.salt, &id, &Ring))
        };
        let places =
            plan.iter().flat_map(|plan| (0..devices).map(move |number| place(plan, number))).collect();
        Self {
            version,
            manifest,
            offered: true,
            build: Build::default(),
            product: product.clone(),
            status: None,
            text: Vec::new(),
            places,
            seen: vec![0; if plan.is_some() { devices } else { 0 }],
            memory: HashMap::new(),
            plan,
        }
    }

    /// Bytes that its devices take: where each stands, and what it remembers.
    pub fn bytes(&self) -> usize {
        // A hash table is seven eighths full at most, and has a byte of its own beside each entry.
        let memory = self.memory.capacity() * 8 / 7 * (size_of::<(usize, Memory)>() + 1);
        self.places.capacity() * size_of::<(u32, u32)>() + self.seen.capacity() * size_of::<u64>() + memory
    }

    /// Takes note of what is served as its status now.
    pub fn hear(&mut self, text: Option<&[u8]>) {
        let Some(plan) = &self.plan else { return };
        let text = text.unwrap_or_default();
        if self.text == text {
            return;
        }
        self.text = text.to_vec();
        let verify = |signed| RolloutStatus::verify(signed, plan, &self.product, &self.manifest, &Ring);
        // What isn't even a status is as none.
        let signed = Signed::<RolloutStatus>::parse(text).ok();
        self.status = signed.map(|signed| verify(signed).map(|status| status.into_inner()));
    }

    /// Why what is served doesn't count for anybody, where it doesn't.
    pub fn refused(&self) -> Option<&StatusRefused> {
        self.status.as_ref()?.as_ref().err()
    }

    /// Whether a device may have it, by its own clock. What the device learns, it remembers.
    pub fn ask(
        &mut self,
        number: usize,
        hardware: &HardwareName,
        labels: &BTreeSet<Label>,
        standing: Standing,
        clock: Timestamp,
    ) -> Admission {
        let Some(plan) = &self.plan else { return Admission::Now };
        let (bucket, catch_up_part) = self.places[number];
        let place = Place { bucket, catch_up_part, hardware, labels };
        let memory = self.memory.get(&number).copied().unwrap_or_default();
        let current = |status: &&RolloutStatus| status.check_current(plan, self.seen[number], clock).is_ok();
        let status = self.status.as_ref().and_then(|status| status.as_ref().ok()).filter(current);
        let admission = admit(plan, status, &place, &memory, standing, clock);
        let before_its_time =
            matches!(admission, Admission::NotBefore { wait: Wait::Place, .. } | Admission::Excluded(_));
        // A device asks for a status once its time has come.
        if let Some(status) = status.filter(|_| !before_its_time) {
            self.seen[number] = perennial_schemas::tuf::Role::version(status);
        }
        let mut after = memory.after(&admission, clock);
        if let Some(status) = status.filter(|_| !before_its_time) {
            after.told = Some(status.since);
        }
        if after != memory {
            self.memory.insert(number, after);
        }
        admission
    }
}
