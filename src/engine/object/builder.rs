//! Clients of object stores, from a configuration and the environment.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::{Certificate, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};

use super::config::ObjectConfig;
use super::url::Cloud;
use crate::engine::tls;
use crate::error::{Error, Result};

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections are let go after so long: before a server or what is in between drops them.
const IDLE: Duration = Duration::from_secs(20);

/// A client of one bucket.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) lists: Arc<dyn PaginatedListStore>,
    pub(super) uploads: Arc<dyn MultipartStore>,
}

/// What a client will be made from.
#[derive(Clone)]
pub(super) enum Builder {
    S3(Box<AmazonS3Builder>),
    Google(Box<GoogleCloudStorageBuilder>),
    Azure(Box<MicrosoftAzureBuilder>),
}

/// Those options of the client that may come from the environment.
const FROM_ENVIRONMENT: [ClientConfigKey; 4] = [
    ClientConfigKey::ProxyUrl,
    ClientConfigKey::ProxyCaCertificate,
    ClientConfigKey::ProxyExcludes,
    ClientConfigKey::UserAgent,
];

impl Builder {
    /// Reads the options.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] that names the option and repeats no value.
    pub(super) fn new(cloud: Cloud, bucket: &str, config: &ObjectConfig) -> Result<Self> {
        match cloud {
            Cloud::S3 => {
                let mut builder = AmazonS3Builder::from_env();
                let kept = kept(|key| builder.get_config_value(&AmazonS3ConfigKey::Client(key)));
                builder = builder.with_client_options(client_options(config, kept)?);
                for (key, value) in options::<AmazonS3ConfigKey>(config, "S3")? {
                    builder = builder.with_config(key, value);
                }
                let endpoint = |key| builder.get_config_value(&key);
                check_endpoint(config, endpoint(AmazonS3ConfigKey::Endpoint))?;
                check_endpoint(config, endpoint(AmazonS3ConfigKey::S3Endpoint))?;
                if builder.get_config_value(&AmazonS3ConfigKey::S3Express).as_deref() == Some("true")
                    || bucket.ends_with("--x-s3")
                {
                    return Err(Error::Configuration(
                        "a directory bucket (S3 Express) does not list in the order of keys; use a general purpose bucket".into(),
                    ));
                }
                let builder = builder
                    .with_bucket_name(bucket)
                    .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp), config.allow_http.to_string());
                Ok(Self::S3(Box::new(builder)))
            }
            Cloud::Google => {
                let mut builder = GoogleCloudStorageBuilder::from_env();
                let kept = kept(|key| builder.get_config_value(&GoogleConfigKey::Client(key)));
                builder = builder.with_client_options(client_options(config, kept)?);
                for (key, value) in options::<GoogleConfigKey>(config, "Google Cloud Storage")? {
                    builder = builder.with_config(key, value);
                }
                check_endpoint(config, builder.get_config_value(&GoogleConfigKey::BaseUrl))?;
                let builder = builder
                    .with_bucket_name(bucket)
                    .with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), config.allow_http.to_string());
                Ok(Self::Google(Box::new(builder)))
            }
            Cloud::Azure => {
                let mut builder = MicrosoftAzureBuilder::from_env();
                let kept = kept(|key| builder.get_config_value(&AzureConfigKey::Client(key)));
                builder = builder.with_client_options(client_options(config, kept)?);
                for (key, value) in options::<AzureConfigKey>(config, "Azure")? {
                    builder = builder.with_config(key, value);
                }
                check_endpoint(config, builder.get_config_value(&AzureConfigKey::Endpoint))?;
                let emulated = builder.get_config_value(&AzureConfigKey::UseEmulator).as_deref() == Some("true");
                check_endpoint(config, emulated.then(|| "http://".to_owned()))?;
                let builder = builder
                    .with_container_name(bucket)
                    .with_config(AzureConfigKey::Client(ClientConfigKey::AllowHttp), config.allow_http.to_string());
                Ok(Self::Azure(Box::new(builder)))
            }
        }
    }

    /// The endpoint that was chosen, as `host:port`; `None` for the cloud's own.
    pub(super) fn host(&self) -> Option<String> {
        let endpoint = match self {
            Self::S3(builder) => builder
                .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
                .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint)),
            Self::Google(builder) => builder.get_config_value(&GoogleConfigKey::BaseUrl),
            Self::Azure(builder) => builder.get_config_value(&AzureConfigKey::Endpoint),
        }?;
        let rest = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        (!host.is_empty()).then(|| host.to_owned())
    }

    /// Makes the client, which may read files and takes some milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for options that don't go together.
    pub(super) fn build(&self) -> Result<Client> {
        tls::install();
        match self.clone() {
            Self::S3(builder) => finish(builder.with_retry(no_retries()).build()),
            Self::Google(builder) => finish(builder.with_retry(no_retries()).build()),
            Self::Azure(builder) => finish(builder.with_retry(no_retries()).build()),
        }
    }
}

/// A request is tried once: `Cloud` decides what may be sent again.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn finish<T>(built: object_store::Result<T>) -> Result<Client>
where
    T: ObjectStore + PaginatedListStore + MultipartStore,
{
    // Its words may repeat a value.
    let store = built.map_err(|error| {
        let missing = error.to_string().to_ascii_lowercase();
        let what = ["region", "secret", "access key", "account", "container", "bucket", "endpoint", "url", "certificate"]
            .into_iter()
            .find(|what| missing.contains(what))
            .unwrap_or("credentials");
        Error::Configuration(format!(
            "the object store's options don't make a client; what is missing or can't be used: {what}; see storage_options and the environment"
        ))
    })?;
    let store = Arc::new(store);
    Ok(Client { objects: Arc::clone(&store) as _, lists: Arc::clone(&store) as _, uploads: store })
}

/// The options by their keys.
fn options<K: FromStr>(config: &ObjectConfig, store: &str) -> Result<Vec<(K, String)>> {
    let parsed = config.storage_options.iter().map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        if name.ends_with("allow_http") {
            return Err(Error::Configuration(
                "write allow_http as an option of its own, not in storage_options".into(),
            ));
        }
        if ["bucket", "container"].iter().any(|own| name.contains(own)) && !name.contains("container_") {
            return Err(Error::Configuration(
                "the bucket or container is named by the url, not in storage_options".into(),
            ));
        }
        let shown: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect();
        let key = name.parse::<K>().map_err(|_| {
            Error::Configuration(format!(
                "storage_options holds {shown:?}, which is no option of {store} in object_store"
            ))
        })?;
        Ok((key, value.clone()))
    });
    parsed.collect()
}

fn check_endpoint(config: &ObjectConfig, endpoint: Option<String>) -> Result<()> {
    match endpoint {
        Some(endpoint) if !config.allow_http && endpoint.trim_start().to_ascii_lowercase().starts_with("http://") => {
            Err(Error::Configuration(
                "the endpoint is plain http, which everybody on the way can read and change; use https, or say allow_http".into(),
            ))
        }
        _ => Ok(()),
    }
}

/// Those of the client's options that came from the environment.
fn kept(value: impl Fn(ClientConfigKey) -> Option<String>) -> Vec<(ClientConfigKey, String)> {
    FROM_ENVIRONMENT.into_iter().filter_map(|key| Some((key, value(key)?))).collect()
}

fn client_options(config: &ObjectConfig, kept: Vec<(ClientConfigKey, String)>) -> Result<ClientOptions> {
    let mut options = ClientOptions::new()
        // Each request has its own time; see `Cloud`.
        .with_timeout_disabled()
        .with_connect_timeout(config.connection_timeout.min(CONNECT))
        .with_pool_idle_timeout(IDLE)
        .with_pool_max_idle_per_host(config.max_connections);
    if let Some(path) = &config.root_certificate {
        let wrong = |why: &str| Error::Configuration(format!("root_certificate {}: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|_| wrong("it is no PEM file of certificates"))?;
        if certificates.is_empty() {
            return Err(wrong("it holds no certificate"));
        }
        options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    Ok(kept.into_iter().fold(options, |options, (key, value)| options.with_config(key, value)))
}
