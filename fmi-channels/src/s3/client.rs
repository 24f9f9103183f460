//! The SDK, set up.

use super::{error::Trouble, options::Options, url::Location};
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{
    Client,
    config::{
        ProvideCredentials, RequestChecksumCalculation, ResponseChecksumValidation,
        SharedHttpClient, StalledStreamProtectionConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use std::{sync::OnceLock, time::Duration};

const CONNECT: Duration = Duration::from_secs(3);
/// Metadata services are asked for a role, and may not be there.
const CREDENTIALS: Duration = Duration::from_secs(10);
/// What servers of one's own are content with.
const ANY_REGION: &str = "us-east-1";

/// A client for a bucket, whose credentials are known to exist.
pub(super) async fn client(location: &Location, options: &Options) -> Result<Client, Trouble> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http())
        // Retries are ours: who asked must know whether a request may have been done twice.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &location.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &location.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(credentials) = &options.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    let shared = loader.load().await;
    let Some(provider) = shared.credentials_provider() else {
        return Err(Trouble::fatal(super::error::NO_CREDENTIALS));
    };
    match tokio::time::timeout(CREDENTIALS, provider.provide_credentials()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let error = aws_sdk_s3::error::DisplayErrorContext(&error);
            return Err(Trouble::fatal(format!("{} ({error})", super::error::NO_CREDENTIALS)));
        }
        Err(_) => return Err(Trouble::fatal(super::error::NO_CREDENTIALS)),
    }
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(location.path_style)
        // Every object has a checksum of ours, which is checked by whoever reads it.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if shared.region().is_none() {
        if location.endpoint.is_none() {
            return Err(Trouble::fatal(
                "no region is known: add ?region=… to the URL, or set AWS_REGION",
            ));
        }
        config = config.region(Region::new(ANY_REGION));
    }
    Ok(Client::from_conf(config.build()))
}

/// One pool of connections a process.
fn http() -> SharedHttpClient {
    static HTTP: OnceLock<SharedHttpClient> = OnceLock::new();
    let https = || Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    HTTP.get_or_init(https).clone()
}
