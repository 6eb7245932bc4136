//! Files: inputs, checkpoints, frames and results, in a folder or a cloud. Nothing is held in memory as a whole but frames and states.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::{Failure, Result};

/// Bytes of a piece of a large file; what S3 wants at least.
const PIECE: usize = 5 << 20;

#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// A store that does not answer within this time is not up. Clouds are tried for longer before it is an error.
const SOON: Duration = Duration::from_secs(5);

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub bytes: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

impl Store {
    /// A folder, or what an address such as `s3://bucket/prefix` names, with the credentials of the environment.
    pub fn open(url: &str) -> Result<Self, String> {
        if url.contains("://") {
            let parsed = url::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
            let options = std::env::vars().map(|(name, value)| (name.to_lowercase(), value));
            let (objects, prefix) = object_store::parse_url_opts(&parsed, options).map_err(|error| format!("{url}: {error}"))?;
            return Ok(Self { objects: Arc::from(objects), prefix });
        }
        std::fs::create_dir_all(url).map_err(|error| format!("{url}: {error}"))?;
        let folder = LocalFileSystem::new_with_prefix(url).map_err(|error| error.to_string())?.with_automatic_cleanup(true);
        Ok(Self { objects: Arc::new(folder), prefix: Path::default() })
    }

    fn path(&self, key: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(key).parts()))
    }

    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        self.objects.put(&self.path(key), bytes.into().into()).await?;
        Ok(())
    }

    pub async fn get(&self, key: &str) -> Result<Bytes> {
        Ok(self.objects.get(&self.path(key)).await?.bytes().await?)
    }

    /// Writes a body as it comes, of at most `limit` bytes. What is broken off leaves nothing.
    pub async fn put_stream<E: std::fmt::Display>(
        &self,
        key: &str,
        limit: u64,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Written> {
        let mut upload = WriteMultipart::new_with_chunk_size(self.objects.put_multipart(&self.path(key)).await?, PIECE);
        let (mut bytes, mut digest) = (0, Sha256::new());
        let taken = async {
            while let Some(piece) = body.next().await {
                let piece = piece.map_err(|error| Failure::invalid(format!("the body broke off: {error}")))?;
                bytes += piece.len() as u64;
                if bytes > limit {
                    return Err(Failure::too_large(limit));
                }
                digest.update(&piece);
                // Not faster than the store takes it.
                upload.wait_for_capacity(1).await?;
                upload.put(piece);
            }
            Ok(())
        };
        if let Err(error) = taken.await {
            let _ = upload.abort().await;
            return Err(error);
        }
        upload.finish().await?;
        Ok(Written { bytes, sha256: hex(&digest.finalize()) })
    }

    pub async fn put_file(&self, key: &str, path: &FilePath) -> Result<Written> {
        let mut file = tokio::fs::File::open(path).await.map_err(Failure::internal)?;
        let pieces = futures::stream::unfold(&mut file, |file| async move {
            let mut piece = vec![0; 1 << 18];
            match file.read(&mut piece).await {
                Ok(0) => None,
                Ok(count) => {
                    piece.truncate(count);
                    Some((Ok(Bytes::from(piece)), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        });
        self.put_stream(key, u64::MAX, Box::pin(pieces)).await
    }

    pub async fn get_file(&self, key: &str, path: &FilePath) -> Result<()> {
        let mut body = self.objects.get(&self.path(key)).await?.into_stream();
        let mut file = tokio::fs::File::create(path).await.map_err(Failure::internal)?;
        while let Some(piece) = body.try_next().await? {
            file.write_all(&piece).await.map_err(Failure::internal)?;
        }
        file.flush().await.map_err(Failure::internal)
    }

    /// Bytes `range` of a file, or all.
    pub async fn stream(
        &self,
        key: &str,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<impl Stream<Item = object_store::Result<Bytes>> + use<>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        Ok(self.objects.get_opts(&self.path(key), options).await?.into_stream())
    }

    pub async fn size(&self, key: &str) -> Result<u64> {
        Ok(self.objects.head(&self.path(key)).await?.size)
    }

    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.objects.delete(&self.path(key)).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Every file whose key begins with this folder, but for those that `keep` wants.
    pub async fn delete_folder(&self, folder: &str, keep: impl Fn(&str) -> bool) -> Result<usize> {
        let found: Vec<_> = self.objects.list(Some(&self.path(folder))).try_collect().await?;
        let mut deleted = 0;
        for object in found.iter().filter(|object| !keep(object.location.as_ref())) {
            self.objects.delete(&object.location).await?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Whether it answers soon.
    pub async fn is_up(&self) -> bool {
        tokio::time::timeout(SOON, self.put("alive", Bytes::from_static(b"1"))).await.is_ok_and(|put| put.is_ok())
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_large_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("store-{}", uuid::Uuid::new_v4()));
        let store = Store::open(&folder.display().to_string()).expect("a folder");
        let body = |count| futures::stream::iter((0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 1 << 20]))));
        let written = store.put_stream("a/b", 9 << 20, body(9)).await.expect("it fits");
        assert_eq!((written.bytes, store.size("a/b").await.expect("it is there")), (9 << 20, 9 << 20));
        let error = store.put_stream("a/c", 9 << 20, body(10)).await.expect_err("one too many");
        assert_eq!(error.code, "too_large");
        assert_eq!(store.size("a/c").await.expect_err("nothing").code, "not_found");
        assert_eq!(store.delete_folder("a", |key| key.ends_with('x')).await.expect("a folder"), 1);
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}
