//! A whole device in memory against a whole repository: the life of an update, power cuts at every operation, and
//! what broken or hostile servers send.

mod crash;
mod delta;
mod hostile;
mod recovery;
mod rollout;
mod update;

use perennial_schemas::report::FailureCode;
use perennial_tests::simulator::{Conduct, Product, Unit, image};

/// A product that offers nothing but what the factory put on the device, and the device.
fn fresh() -> (Product, Unit) {
    let mut product = Product::new();
    product.publish();
    let mut unit = Unit::new(product.repository.first_root(), &image(1, 3));
    unit.fetch = product.serve();
    (product, unit)
}

/// Offers a release that works, and serves it to the device.
fn offer(product: &mut Product, unit: &mut Unit, version: &'static str, image: &[u8]) {
    product.offer(version, image, |_| {});
    product.publish();
    unit.fetch = product.serve();
    unit.knows(image, version, Conduct::Healthy);
}

/// The numbers of what has failed so far.
fn codes(unit: &Unit) -> Vec<FailureCode> {
    unit.failures.iter().map(|failure| failure.code).collect()
}

/// The same of what has failed since this was asked last.
fn take_codes(unit: &mut Unit) -> Vec<FailureCode> {
    let codes = codes(unit);
    unit.failures.clear();
    codes
}
