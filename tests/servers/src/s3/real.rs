//! Looking into a real server.

use aws_sdk_s3::{Client, config::Builder};

/// The keys of all objects under the prefix of a URL.
pub(super) fn keys(bucket: &str, url: &str) -> Vec<String> {
    let (bucket, prefix) = (bucket.to_owned(), super::prefix(url).to_owned());
    let endpoint = url.split_once("endpoint=").unwrap().1.to_owned();
    let list = async move {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest());
        let config = config.http_client(http).endpoint_url(endpoint).load().await;
        let region = config.region().cloned().unwrap_or(aws_config::Region::new("us-east-1"));
        let config = Builder::from(&config).region(region).force_path_style(true).build();
        let list = Client::from_conf(config).list_objects_v2().bucket(bucket).prefix(prefix);
        let listed = list.send().await.expect("the test's own look at the server");
        listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    };
    // Whoever asks may be on a runtime.
    let thread = std::thread::spawn(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(list)
    });
    thread.join().unwrap()
}
