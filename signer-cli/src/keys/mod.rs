//! Keys: private halves under a passphrase, public halves to hand around.
