//! What is asked outside the measured time: head and body come within the time
//! that a probe has, or not at all. Knows no endpoint.

use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};

use super::{
    ANSWER_BYTES_MAX, ERROR_BYTES_MAX, SLOTS_MAX, Transport, connect, json, start_of, whole,
};
use crate::Error;

/// How long the pools have to take warmed connections back: a thousand times
/// what it takes on an idle machine.
const SETTLING: Duration = Duration::from_millis(50);

/// The answer to a request that is not timed.
pub(in crate::api_server) struct Aside {
    pub(in crate::api_server) status: StatusCode,
    pub(in crate::api_server) headers: HeaderMap,
    /// All of it with status 200, else its start.
    pub(in crate::api_server) body: Vec<u8>,
}

impl Transport {
    /// Makes every slot from 0 have a live connection, all at once, by asking
    /// for `path` on each. A slot that has one uses it again, so this can be
    /// called again after a pause and opens only what was lost meanwhile.
    ///
    /// # Errors
    /// When one cannot be opened, or answers with any status but 200.
    pub(in crate::api_server) async fn warm(&self, slots: u32, path: &str) -> Result<(), Error> {
        let url = self.url(path)?;
        let one = |client: Client| {
            let request = client.request(Method::GET, url.clone());
            async move { self.accepted_aside(&self.aside(path, request).await?) }
        };
        let clients: Result<Vec<Client>, Error> = (0..slots.min(SLOTS_MAX))
            .map(|slot| self.slot(slot))
            .collect();
        try_join_all(clients?.into_iter().map(one)).await?;
        // No pool tells when it has taken its connection back, and the run comes
        // next: here, where nothing is measured, there is time to be sure.
        tokio::time::sleep(SETTLING).await;
        Ok(())
    }

    /// A POST of JSON that is not timed.
    ///
    /// # Errors
    /// When nobody answers to the end in time, or not in HTTP.
    pub(in crate::api_server) async fn post_aside(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Aside, Error> {
        self.aside(path, json(&self.aside, self.url(path)?, body))
            .await
    }

    /// `GET path` in the time that a probe has: the answer, whatever its
    /// status.
    ///
    /// # Errors
    /// When nobody answers to the end in time, or not in HTTP.
    pub(in crate::api_server) async fn get(&self, path: &str) -> Result<Aside, Error> {
        let request = self.aside.request(Method::GET, self.url(path)?);
        self.aside(path, request).await
    }

    /// Sends what is not timed and reads the answer, head and body together in
    /// the time that a probe has. A refusal whose body does not end in time is
    /// passed on with as much of it as came: its status says enough.
    async fn aside(&self, path: &str, request: RequestBuilder) -> Result<Aside, Error> {
        let mut head = None;
        let mut start = Vec::new();
        let work = async {
            let response = self.send(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            head = Some((status, headers));
            if status == StatusCode::OK {
                return whole(response, ANSWER_BYTES_MAX).await;
            }
            start_of(response, ERROR_BYTES_MAX, &mut start).await;
            Ok(Vec::new())
        };
        let ended = tokio::time::timeout(self.wait, work).await;
        match (ended, head) {
            (Ok(Err(error)), _) => Err(error),
            (Ok(Ok(body)), Some((status @ StatusCode::OK, headers))) => Ok(Aside {
                status,
                headers,
                body,
            }),
            (_, Some((status, headers))) if status != StatusCode::OK => Ok(Aside {
                status,
                headers,
                body: start,
            }),
            (_, head) => Err(connect(&format!(
                "{}: {} {path} within {} s",
                self.place(),
                if head.is_some() {
                    "no end of the answer to"
                } else {
                    "no answer to"
                },
                self.wait.as_secs_f64()
            ))),
        }
    }

    /// The same for an answer that is not timed.
    ///
    /// # Errors
    /// What any status but 200 means, with the server's words.
    pub(in crate::api_server) fn accepted_aside(&self, answer: &Aside) -> Result<(), Error> {
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        Err(self.refusal(answer.status, &answer.headers, &answer.body))
    }
}
