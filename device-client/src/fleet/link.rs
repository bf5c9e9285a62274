//! The way to the fleet plane over HTTPS, with a certificate of this device.

use std::sync::Arc;

use perennial_device_core::port::{Call, FleetLink, LinkError, Reply, Who};
use rustls_pki_types::CertificateDer;

use super::certificate::read_chain;
use super::key::DeviceKey;
use super::vault::FileVault;
use crate::error::chain as causes;
use crate::http::{ClientIdentity, Exchange, HttpClient, HttpOptions, Url};

/// Asks the fleet plane.
pub struct HttpLink {
    server: Url,
    options: HttpOptions,
    vault: FileVault,
    /// The client that was used last, and whose certificate it shows.
    kept: Option<(Vec<CertificateDer<'static>>, HttpClient)>,
}

impl HttpLink {
    /// To this server, with the keys and certificates of that vault.
    pub fn new(server: Url, options: HttpOptions, vault: FileVault) -> Self {
        Self { server, options, vault, kept: None }
    }

    fn client(&mut self, who: Who<'_>) -> Result<HttpClient, LinkError> {
        let failed = |error: &dyn std::error::Error| LinkError(causes(error));
        let (chain, key): (_, DeviceKey) = match who {
            Who::Factory => self.vault.factory_identity().map_err(|error| failed(&error))?,
            Who::Fleet { key, chain } => {
                let chain = read_chain(chain.as_bytes()).map_err(|error| failed(&error))?;
                (chain, self.vault.fleet_key_of(key).map_err(|error| failed(&error))?)
            }
        };
        if let Some((_, client)) = self.kept.as_ref().filter(|(kept, _)| *kept == chain) {
            return Ok(client.clone());
        }
        let identity = ClientIdentity { chain: chain.clone(), key: key.pkcs8() };
        let options = HttpOptions { identity: Some(Arc::new(identity)), ..self.options.clone() };
        let client = HttpClient::new(options).map_err(|error| failed(&error))?;
        self.kept = Some((chain, client.clone()));
        Ok(client)
    }
}

impl FleetLink for HttpLink {
    fn ask(&mut self, call: Call, who: Who<'_>, body: &[u8]) -> Result<Reply, LinkError> {
        let (method, path) = call.route();
        let url = self.server.escaped(path.trim_start_matches('/'));
        let send = Exchange { method, url: &url, body, max_length: call.max_answer() };
        match self.client(who)?.send(send) {
            Ok(sent) => {
                let retry_after = sent.retry_after.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
                Ok(Reply { status: sent.status, body: sent.body, retry_after })
            }
            Err(error) => Err(LinkError(causes(&error))),
        }
    }
}
