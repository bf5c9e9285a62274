//! A whole device in memory against a whole repository: the life of an update, power cuts at every operation, and
//! what broken or hostile servers send.

mod crash;
mod hostile;
mod recovery;
mod update;

use perennial_tests::simulator::{Product, Unit, image};

/// A product that offers nothing but what the factory put on the device, and the device.
fn fresh() -> (Product, Unit) {
    let mut product = Product::new();
    product.publish();
    let mut unit = Unit::new(product.repository.first_root(), &image(1, 3));
    unit.fetch = product.serve();
    (product, unit)
}
