//! What signers, operators and chance do to the simulation.

use perennial_schemas::release::{ROLLOUT_FEATURE, Release};
use perennial_schemas::rollout::{Plan, Salt};
use perennial_schemas::{HardwareName, ReleaseVersion, Timestamp};
use perennial_signer::rollout::file;
use perennial_signer::rollout::presets::Preset;

use super::offer::Offer;
use super::unit::{self, Life};
use super::world::{EARLY, STEP, Serving, World};
use crate::maker::{PRODUCT, image};

/// How long offline signatures last here: the simulation isn't about their expiry, but for a device that sleeps for a year.
const DAYS: i64 = 500;

impl World {
    /// Publishes what the signers have prepared, signed now.
    pub fn publish(&mut self) {
        self.sign_now();
        self.maker.publish();
        self.hand_over();
    }

    /// The product's signers sign again what they have signed, and nothing else changes: they stand by it.
    pub fn affirm(&mut self) {
        self.publish();
    }

    /// Another team signs the snapshot again; this product's signers do nothing.
    pub fn renew_snapshot(&mut self) {
        let snapshot = &mut self.maker.repository.snapshot.common;
        snapshot.version += 1;
        (snapshot.expires, snapshot.signed_at) = (self.now.plus_days(DAYS), Some(self.now));
        self.maker.repository.serve_snapshot();
        self.next_timestamp();
        self.maker.repository.timestamp.common.version += 1;
        self.maker.repository.serve_timestamp();
        self.hand_over();
    }

    /// The signers put what they have published on another web server, with an offline timestamp of now.
    pub fn export(&mut self) {
        self.serving = Serving::Export;
        self.next_timestamp();
        let timestamp = &mut self.maker.repository.timestamp.common;
        (timestamp.version, timestamp.expires) = (timestamp.version + 1, self.now.plus_days(DAYS));
        self.maker.repository.serve_timestamp();
    }

    /// Releases a version with an image for all hardware revisions, with a plan by a preset or without one; `early`: devices
    /// with the label come so long after its start at the latest.
    pub fn release(
        &mut self,
        version: &ReleaseVersion,
        plan: Option<(Preset, Timestamp)>,
        early: Option<&str>,
    ) {
        let plan = plan.map(|(preset, start)| self.plan(preset, start, early, version));
        self.release_with(version, plan);
    }

    /// The same with a plan as it is.
    pub fn release_with(&mut self, version: &ReleaseVersion, plan: Option<Plan>) {
        self.sign_now();
        let image = image(version.as_str(), 70_000);
        let payload = zstd::encode_all(&image[..], 1).expect("zstd");
        let hardware: Vec<HardwareName> =
            self.makeup.hardware.iter().map(|(hardware, _)| hardware.clone()).collect();
        let planned = plan.clone();
        let change = |release: &mut Release| {
            release.images[0].hardware = hardware;
            release.requires = planned.iter().map(|_| ROLLOUT_FEATURE.into()).collect();
            release.rollout = planned;
        };
        self.maker.release_of(version.as_str(), 1, &image, payload, change);
        self.hand_over();
        let offered = self.maker.channel.releases.last().expect("it was offered just now");
        let product = PRODUCT.parse().expect("a product");
        let offer = Offer::new(&product, version.clone(), offered.manifest, plan, self.units.len());
        self.offers.push(offer);
    }

    /// A plan by a preset, with the server's rollout key.
    pub fn plan(
        &self,
        preset: Preset,
        start: Timestamp,
        early: Option<&str>,
        version: &ReleaseVersion,
    ) -> Plan {
        let path = self.server.folder().join(format!("{version}.plan.toml"));
        let key = self.server.state().join("keys/rollout.pub.json");
        let mut text = preset.text(start, key.to_str().expect("a path in UTF-8"));
        if let Some(begins) = early {
            text += &format!("\n[[early]]\nlabels = [\"{EARLY}\"]\nbegins = \"{begins}\"\n");
        }
        std::fs::write(&path, text).expect("a file");
        let digest = unit::digest(version.as_str().as_bytes(), 0);
        let salt = Salt::new(digest.as_bytes()[..16].to_vec()).expect("16 bytes");
        file::read(&path, salt).expect("a preset is a plan")
    }

    /// Withdraws a release.
    pub fn withdraw(&mut self, release: usize) {
        self.sign_now();
        let version = self.offers[release].version.clone();
        self.maker.withdraw(version.as_str());
        self.offers[release].offered = false;
        self.hand_over();
    }

    /// So many devices in a million are switched off now, for so many days.
    pub fn sleep(&mut self, share: u32, days: u32) {
        let until = self.step + days * (86_400 / STEP) as u32;
        for number in self.some(share) {
            self.units[number].wakes = until;
        }
    }

    /// The clocks of so many devices in a million are off by so many seconds.
    pub fn set_clocks(&mut self, share: u32, seconds: i64) {
        for number in self.some(share) {
            self.units[number].clock = seconds;
        }
    }

    /// So many devices in a million tell at each poll that the newest release failed.
    pub fn make_liars(&mut self, share: u32) {
        for number in self.some(share) {
            self.units[number].liar = true;
        }
    }

    /// Devices that luck has drawn, among those to which nothing odd has happened yet.
    fn some(&mut self, share: u32) -> Vec<usize> {
        let Self { units, random, step, .. } = self;
        let plain = |unit: &unit::Unit| unit.clock == 0 && !unit.liar && unit.wakes <= *step;
        let drawn = units.iter().enumerate().filter(|(_, unit)| plain(unit) && unit.life != Life::Dead);
        drawn.filter(|_| random.u32(0..1_000_000) < share).map(|(number, _)| number).collect()
    }

    /// The offline roles are signed at this moment.
    fn sign_now(&mut self) {
        let (now, expires) = (self.now, self.now.plus_days(DAYS));
        let repository = &mut self.maker.repository;
        let roles = repository.roles.values_mut().map(|role| &mut role.common);
        for common in roles.chain([&mut repository.snapshot.common]) {
            (common.expires, common.signed_at) = (expires, Some(now));
        }
        self.next_timestamp();
        self.maker.repository.timestamp.common.expires = expires;
    }

    /// The server signs timestamps, too: a version is Unix seconds at least, so that neither looks like a rollback to devices
    /// that have seen the other's. Publishing adds one.
    fn next_timestamp(&mut self) {
        let version = &mut self.maker.repository.timestamp.common.version;
        *version = (*version).max(self.now.unix() as u64);
    }

    /// Hands everything to the server, while there is one.
    fn hand_over(&mut self) {
        if matches!(self.serving, Serving::Server) {
            self.server.take_in(&self.maker.bundle());
        }
    }
}
