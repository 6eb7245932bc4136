//! Requests to addresses that clients gave. None reaches the server's own network: a name is resolved here, all of its addresses are looked at,
//! and the connection goes to those and no others; redirects are followed by hand, each looked at like the first.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use reqwest::dns::{Name, Resolve, Resolving};
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

/// Asks what a name, with a port, stands for.
type LookUp = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Goes out where it may.
#[derive(Clone)]
pub struct Fetch {
    /// All addresses of the own network may be asked.
    allow_private: bool,
    /// These of it may.
    reachable: Vec<IpAddr>,
    look_up: LookUp,
    answer: Duration,
    transfer: Duration,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Fetch").field("allow_private", &self.allow_private).field("reachable", &self.reachable).finish_non_exhaustive()
    }
}

/// The addresses that were looked at, whatever the name stands for by now.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let found = self.0.clone();
        Box::pin(async { Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>) })
    }
}

fn refused(url: &str, why: &str) -> Failure {
    Failure { code: "address_refused", ..Failure::invalid(format!("{url}: {why}")) }
}

impl Fetch {
    /// To the internet, to the own network where `allow_private`, and otherwise to those addresses of it that are `reachable`.
    pub fn new(allow_private: bool, reachable: Vec<IpAddr>) -> Self {
        let look_up: LookUp =
            Arc::new(|name, port| Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), port)).await?.collect()) }));
        Self { allow_private, reachable, look_up, answer: ANSWER, transfer: TRANSFER }
    }

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
        self.allow_private || is_public(ip) || self.reachable.contains(&ip)
    }

    /// A client that connects to what the address's name means now, and to nothing else.
    async fn client(&self, url: &Url) -> Result<Client> {
        let found = match url.host() {
            Some(Host::Domain(name)) => self.addresses(url, name).await?,
            _ => Vec::new(),
        };
        let builder = Client::builder().redirect(redirect::Policy::none()).no_proxy().dns_resolver(Arc::new(Pinned(found)));
        builder.connect_timeout(self.answer).read_timeout(self.answer).build().map_err(Failure::internal)
    }

    /// Of a name, all of which may be asked.
    async fn addresses(&self, url: &Url, name: &str) -> Result<Vec<SocketAddr>> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found = tokio::time::timeout(self.answer, (self.look_up)(name.into(), port)).await;
        let found = found.unwrap_or_else(|late| Err(late.into())).map_err(|error| refused(url.as_str(), &error.to_string()))?;
        if found.is_empty() || found.iter().any(|address| !self.may_reach(address.ip())) {
            return Err(refused(url.as_str(), "a name in a private network"));
        }
        Ok(found)
    }

    async fn get(&self, url: &str) -> Result<Response> {
        let mut url = self.check(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let request = self.client(&url).await?.get(url.clone()).timeout(self.transfer);
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
        let request = self.client(&url).await?.request(method, url.clone()).timeout(time.unwrap_or(self.answer)).body(body);
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncReadExt;

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
        let fetch = Fetch::new(false, Vec::new());
        let hostile: Vec<_> = HOSTILE.split_whitespace().collect();
        assert!(hostile.len() >= 60, "{}", hostile.len());
        for url in hostile {
            assert!(fetch.check(url).is_err(), "{url}");
        }
        for url in ["https://example.com/a.mp4", "http://93.184.216.34:8080/", "https://[2606:2800:220:1::1]/"] {
            assert!(fetch.check(url).is_ok(), "{url}");
        }
    }

    const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// Stands for a host of the internet.
    const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    /// A server that writes the same to whoever connects, and counts who does.
    struct Server {
        port: u16,
        connections: Arc<AtomicUsize>,
    }

    impl Server {
        /// Writes `head`, and then `body` again and again with pauses, as long as it is taken; once where there is no pause.
        async fn start(ip: IpAddr, port: u16, head: String, body: &'static [u8], pause: Option<Duration>) -> Self {
            let listener = tokio::net::TcpListener::bind((ip, port)).await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let connections = Arc::new(AtomicUsize::new(0));
            let counted = connections.clone();
            tokio::spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let head = head.clone();
                    tokio::spawn(async move {
                        let _ = socket.read(&mut [0; 4096]).await;
                        let mut written = socket.write_all(head.as_bytes()).await;
                        while written.is_ok() {
                            written = socket.write_all(body).await;
                            match pause {
                                Some(Duration::ZERO) => tokio::task::yield_now().await,
                                Some(pause) => tokio::time::sleep(pause).await,
                                None => break,
                            }
                        }
                    });
                }
            });
            Self { port, connections }
        }

        async fn outside(head: impl Into<String>, body: &'static [u8], pause: Option<Duration>) -> Self {
            Self::start(OUTSIDE, 0, head.into(), body, pause).await
        }

        fn url(&self) -> String {
            format!("http://{OUTSIDE}:{}/", self.port)
        }

        fn connections(&self) -> usize {
            self.connections.load(Ordering::SeqCst)
        }
    }

    /// One to whom names mean what `look_up` says, each time anew.
    fn fetch(look_up: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Fetch {
        let look_up: LookUp = Arc::new(move |name, port| {
            let found = look_up(&name).into_iter().map(|ip| (ip, port).into()).collect();
            Box::pin(async { Ok(found) })
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (answer, transfer) = (Duration::from_millis(400), Duration::from_millis(1500));
        Fetch { look_up, answer, transfer, ..Fetch::new(false, vec![OUTSIDE]) }
    }

    fn file() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("fetched-{}", uuid::Uuid::new_v4()))
    }

    /// What becomes of an input; where it is refused, the code.
    async fn input(fetch: &Fetch, url: &str, limit: u64) -> Result<Vec<u8>, &'static str> {
        let path = file();
        let taken = fetch.download(url, &path, limit).await;
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(bytes.len() as u64 <= limit, "{} bytes are on the disk", bytes.len());
        let _ = std::fs::remove_file(&path);
        taken.map(|()| bytes).map_err(|error| error.code)
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";

    fn to(location: &str, status: u16) -> String {
        format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn a_name_in_the_own_network_is_refused_before_a_connection() {
        let inside = Server::start(INSIDE, 0, OK.into(), b"in", None).await;
        let fetch = Fetch::new(false, Vec::new());
        for name in ["localhost", "LOCALHOST", "localhost."] {
            let url = format!("http://{name}:{}/", inside.port);
            assert_eq!(input(&fetch, &url, 9).await, Err("address_refused"), "{name}");
            assert!(fetch.send(Method::POST, &url, &[], "x", None).await.is_err());
        }
        assert_eq!(inside.connections(), 0);
    }

    #[tokio::test]
    async fn no_redirect_leads_into_the_own_network() {
        let inside = Server::start(INSIDE, 0, OK.into(), b"in", None).await;
        let fetch = fetch(|name| vec![if name.starts_with("inside") { INSIDE } else { OUTSIDE }]);
        let port = inside.port;
        let hosts =
            ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "inside.test", "user@127.0.0.1", "127.0.0.1."];
        let mut locations: Vec<_> = hosts.iter().map(|host| format!("http://{host}:{port}/")).collect();
        locations.extend(["file:///etc/passwd", "gopher://127.0.0.1/", "data:,a", "http://"].map(String::from));
        locations.push(format!("//127.0.0.1:{port}/"));
        for location in &locations {
            for status in [301, 302, 303, 307, 308] {
                let outside = Server::outside(to(location, status), b"", None).await;
                let again = Server::outside(to(&outside.url(), 302), b"", None).await;
                for first in [&outside, &again] {
                    assert_eq!(input(&fetch, &first.url(), 9).await, Err("address_refused"), "{location}");
                }
                assert_eq!(outside.connections(), 2, "{location}: it was asked, and told where to go");
            }
        }
        assert_eq!(inside.connections(), 0);
        let outside = Server::outside(OK, b"ok", None).await;
        let leads = Server::outside(to(&outside.url(), 302), b"", None).await;
        assert_eq!(input(&fetch, &leads.url(), 9).await, Ok(b"ok".to_vec()), "others are followed");
    }

    #[tokio::test]
    async fn redirects_come_to_an_end() {
        let loops = Server::outside(to("/", 302), b"", None).await;
        assert_eq!(input(&fetch(|_| Vec::new()), &loops.url(), 9).await, Err("address_refused"));
        assert_eq!(loops.connections(), MAX_REDIRECTS + 1);
    }

    #[tokio::test]
    async fn the_address_that_was_looked_at_is_the_one_that_is_connected_to() {
        let outside = Server::outside(OK, b"ok", None).await;
        let inside = Server::start(INSIDE, outside.port, OK.into(), b"in", None).await;
        for name in ["turns.test", "turns.test.", "TURNS.test"] {
            let url = format!("http://{name}:{}/", outside.port);
            // The first answer is harmless; every later one is not.
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let fetch = fetch(move |_| vec![if count.fetch_add(1, Ordering::SeqCst) == 0 { OUTSIDE } else { INSIDE }]);
            assert_eq!(input(&fetch, &url, 9).await, Ok(b"ok".to_vec()), "{name}");
            assert_eq!(asked.load(Ordering::SeqCst), 1, "{name} is asked for once");
            assert_eq!(input(&fetch, &url, 9).await, Err("address_refused"), "{name}");
            assert!(fetch.send(Method::POST, &url, &[], "x", None).await.is_err());
        }
        // One of several is enough to be refused.
        let both = fetch(|_| vec![OUTSIDE, INSIDE]);
        assert_eq!(input(&both, &format!("http://both.test:{}/", outside.port), 9).await, Err("address_refused"));
        // A redirect to the name that has turned meanwhile.
        let turned = Arc::new(AtomicUsize::new(0));
        let count = turned.clone();
        let fetch = fetch(move |_| vec![if count.fetch_add(1, Ordering::SeqCst) == 0 { OUTSIDE } else { INSIDE }]);
        let leads = Server::outside(to(&format!("http://turns.test:{}/", outside.port), 302), b"", None).await;
        let name = format!("http://turns.test:{}/", leads.port);
        assert_eq!(input(&fetch, &name, 9).await, Err("address_refused"));
        assert_eq!(inside.connections(), 0);
    }

    #[tokio::test]
    async fn bodies_without_an_end_are_broken_off() {
        let fetch = fetch(|_| Vec::new());
        let chunks: &[u8] = Box::leak(format!("10000\r\n{}\r\n", "x".repeat(1 << 16)).into_bytes().into_boxed_slice());
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for (head, body) in [("HTTP/1.1 200 OK\r\n\r\n", &[7; 1 << 16][..]), (chunked, chunks)] {
            let endless = Server::outside(head, body, Some(Duration::ZERO)).await;
            assert_eq!(input(&fetch, &endless.url(), 100_000).await, Err("too_large"), "{head}");
        }
        let announced = Server::outside("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n", b"x", None).await;
        assert_eq!(input(&fetch, &announced.url(), 100_000).await, Err("too_large"));
        let headers = Server::outside("HTTP/1.1 200 OK\r\n", b"a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n", Some(Duration::ZERO)).await;
        assert_eq!(input(&fetch, &headers.url(), 100_000).await, Err("address_refused"));
        let short = Server::outside("HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n", b"x", None).await;
        assert_eq!(input(&fetch, &short.url(), 100_000).await, Err("address_refused"), "one that ends early");
    }

    #[tokio::test]
    async fn bodies_that_take_for_ever_are_broken_off() {
        let fetch = fetch(|_| Vec::new());
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        let (drips, stops) = (Some(Duration::from_millis(50)), Some(Duration::from_secs(3600)));
        for (head, pause) in [(head, drips), (head, stops), ("", stops), ("HTTP/1.1 200 OK\r\nx:", drips)] {
            let slow = Server::outside(head, b"x", pause).await;
            let began = std::time::Instant::now();
            assert_eq!(input(&fetch, &slow.url(), 2_000_000).await, Err("address_refused"), "{head}");
            assert!(began.elapsed() < Duration::from_secs(10), "{head}: {:?}", began.elapsed());
        }
    }

    #[tokio::test]
    async fn webhooks_and_uploads_follow_no_redirect_and_wait_for_nobody() {
        let fetch = fetch(|_| Vec::new());
        let inside = Server::start(INSIDE, 0, OK.into(), b"in", None).await;
        for (method, status) in [(Method::POST, 302), (Method::POST, 307), (Method::PUT, 308), (Method::PUT, 301)] {
            let leads = Server::outside(to(&format!("http://{INSIDE}:{}/", inside.port), status), b"", None).await;
            let answer = fetch.send(method, &leads.url(), &[], "x", None).await;
            assert_eq!(answer.map_err(|error| error.code), Ok(status), "a redirect is an answer like others");
        }
        assert_eq!(inside.connections(), 0);
        let endless = Server::outside("HTTP/1.1 200 OK\r\n\r\n", b"xxxxxxxx", Some(Duration::ZERO)).await;
        assert_eq!(fetch.send(Method::POST, &endless.url(), &[], "x", None).await.map_err(|error| error.code), Ok(200));
        let silent = Server::outside("", b"", Some(Duration::from_secs(3600))).await;
        let began = std::time::Instant::now();
        assert!(fetch.send(Method::POST, &silent.url(), &[], "x", None).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
