//! Requests to addresses that clients gave. None reaches the server's own network: a name is resolved here, all of its addresses are looked at,
//! and the connection goes to those and no others; redirects are followed by hand, each looked at like the first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use reqwest::{Client, Method, Response, redirect};
use tokio::io::AsyncWriteExt;
use url::{Host, Url};

use crate::error::{Failure, Result};

/// Redirects that an input may have.
const MAX_REDIRECTS: usize = 3;
/// For a webhook's answer, and for a connection.
const ANSWER: Duration = Duration::from_secs(10);
/// For a whole input.
const TRANSFER: Duration = Duration::from_secs(300);

/// Goes out where it may.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    pub allow_private: bool,
}

fn refused(url: &str, why: &str) -> Failure {
    Failure { code: "address_refused", ..Failure::invalid(format!("{url}: {why}")) }
}

impl Fetch {
    /// What can be known of an address without asking for its name.
    pub fn check(&self, url: &str) -> Result<Url> {
        let parsed = Url::parse(url).map_err(|error| refused(url, &error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused(url, "neither http nor https"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused(url, "an address with a user's name"));
        }
        let literal = match parsed.host() {
            None => return Err(refused(url, "an address without a host")),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        };
        if literal.is_some_and(|ip| !self.may_reach(ip)) {
            return Err(refused(url, "an address of a private network"));
        }
        Ok(parsed)
    }

    fn may_reach(&self, ip: IpAddr) -> bool {
        self.allow_private || is_public(ip)
    }

    /// A client that connects to what the address's name means now, and to nothing else.
    async fn client(&self, url: &Url) -> Result<Client> {
        let mut builder = Client::builder().redirect(redirect::Policy::none()).no_proxy().connect_timeout(ANSWER).read_timeout(ANSWER);
        if let Some(Host::Domain(name)) = url.host() {
            let port = url.port_or_known_default().unwrap_or(443);
            let found = tokio::net::lookup_host((name, port)).await.map_err(|error| refused(url.as_str(), &error.to_string()))?;
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() || found.iter().any(|address| !self.may_reach(address.ip())) {
                return Err(refused(url.as_str(), "a name in a private network"));
            }
            builder = builder.resolve_to_addrs(name, &found);
        }
        builder.build().map_err(Failure::internal)
    }

    async fn get(&self, url: &str) -> Result<Response> {
        let mut url = self.check(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let request = self.client(&url).await?.get(url.clone()).timeout(TRANSFER);
            let response = request.send().await.map_err(|error| refused(url.as_str(), &describe(&error)))?;
            if !response.status().is_redirection() {
                return response.error_for_status().map_err(|error| refused(url.as_str(), &describe(&error)));
            }
            let to = response.headers().get("location").and_then(|to| to.to_str().ok());
            let to = to.and_then(|to| url.join(to).ok()).ok_or_else(|| refused(url.as_str(), "a redirect to nowhere"))?;
            url = self.check(to.as_str())?;
        }
        Err(refused(url.as_str(), "too many redirects"))
    }

    /// Into a file, at most `limit` bytes.
    pub async fn download(&self, url: &str, path: &Path, limit: u64) -> Result<()> {
        let response = self.get(url).await?;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(Failure::too_large(limit));
        }
        let mut file = tokio::fs::File::create(path).await.map_err(Failure::internal)?;
        let (mut body, mut taken) = (response.bytes_stream(), 0);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| refused(url, &describe(&error)))?;
            taken += piece.len() as u64;
            if taken > limit {
                return Err(Failure::too_large(limit));
            }
            file.write_all(&piece).await.map_err(Failure::internal)?;
        }
        file.flush().await.map_err(Failure::internal)
    }

    /// Sends a body once. The answer's status; redirects are none.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(String, String)],
        body: impl Into<reqwest::Body>,
        time: Option<Duration>,
    ) -> Result<u16> {
        let url = self.check(url)?;
        let request = self.client(&url).await?.request(method, url.clone()).timeout(time.unwrap_or(ANSWER)).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.send().await.map_err(|error| refused(url.as_str(), &describe(&error)))?;
        Ok(response.status().as_u16())
    }
}

/// With its causes, which reqwest does not say by itself.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Whether an address is one of the public internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let special =
        a == 0 || a >= 240 || (a == 192 && b == 0 && c == 0) || (a == 192 && b == 88 && c == 99) || (a == 198 && (b == 18 || b == 19));
    !(shared || special || ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_documentation())
}

/// Unicast addresses of the internet begin with 2 or 3; among them those that stand for other addresses are left out.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let unicast = a & 0xe000 == 0x2000;
    let stands_for_another = a == 0x2002 || (a == 0x2001 && b < 0x200) || (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    unicast && !stands_for_another
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names for hosts of the own network, in all the spellings that parsers know.
    const HOSTILE: &str = "http://127.0.0.1/ http://127.1/ http://127.0.1/ http://2130706433/ http://0x7f000001/ http://0x7f.1/ http://0177.0.0.1/ \
        http://017700000001/ http://127.255.255.254/ http://0.0.0.0/ http://0/ http://0.1.2.3/ http://10.0.0.1/ http://10.255.255.255/ http://172.16.0.1/ \
        http://172.31.255.255/ http://192.168.0.1/ http://192.168.255.255/ http://169.254.169.254/latest/meta-data/ http://169.254.0.1/ http://2852039166/ \
        http://0xa9fea9fe/ http://0xA9.0xFE.0xA9.0xFE/ http://0251.0376.0251.0376/ http://100.64.0.1/ http://100.127.255.255/ http://192.0.0.1/ \
        http://192.0.2.1/ http://192.88.99.1/ http://198.18.0.1/ http://198.19.255.255/ http://198.51.100.1/ http://203.0.113.1/ http://224.0.0.1/ \
        http://239.255.255.255/ http://240.0.0.1/ http://255.255.255.255/ http://[::1]/ http://[::]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/ \
        http://[::ffff:169.254.169.254]/ http://[::127.0.0.1]/ http://[64:ff9b::7f00:1]/ http://[64:ff9b::a9fe:a9fe]/ http://[2002:7f00:1::]/ \
        http://[2001::1]/ http://[2001:db8::1]/ http://[fc00::1]/ http://[fd00:ec2::254]/ http://[fe80::1]/ http://[fec0::1]/ http://[ff02::1]/ http://[100::1]/ \
        http://user@example.com/ http://user:secret@example.com/ http://example.com@127.0.0.1/ ftp://example.com/ file:///etc/passwd gopher://example.com/ \
        data:text/plain,a unix:/run/x ldap://example.com/ dict://example.com/ http:// http://[::ffff:0:127.0.0.1]/ http://①②⑦.0.0.1/ http://127。0。0。1/";

    #[test]
    fn no_address_of_the_own_network_is_asked() {
        let fetch = Fetch { allow_private: false };
        let hostile: Vec<_> = HOSTILE.split_whitespace().collect();
        assert!(hostile.len() >= 60, "{}", hostile.len());
        for url in hostile {
            assert!(fetch.check(url).is_err(), "{url}");
        }
        for url in ["https://example.com/a.mp4", "http://93.184.216.34:8080/", "https://[2606:2800:220:1::1]/"] {
            assert!(fetch.check(url).is_ok(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_in_the_own_network_is_refused_before_a_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let fetch = Fetch { allow_private: false };
        let path = std::env::temp_dir().join("never");
        for name in ["localhost", "LOCALHOST", "localhost."] {
            let url = format!("http://{name}:{port}/");
            assert_eq!(fetch.download(&url, &path, 1).await.expect_err(name).code, "address_refused");
            assert!(fetch.send(Method::POST, &url, &[], "x", None).await.is_err());
        }
        assert!(listener.accept().is_err(), "nobody connected");
    }
}
