//! A non-blocking connection and what is in its buffers.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::{Client, Step};

/// Enough for every answer of a measured row in one read.
const INPUT_BYTES: usize = 16 << 10;

pub(super) struct Connection {
    stream: TcpStream,
    client: Box<dyn Client>,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects, and registers for edges: what a read leaves behind is read before the next wait.
    pub(super) fn open(
        address: SocketAddr,
        client: Box<dyn Client>,
        registry: &Registry,
        token: Token,
    ) -> Result<Self> {
        let blocking = std::net::TcpStream::connect(address)?;
        blocking.set_nodelay(true)?;
        blocking.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(blocking);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let input = vec![0; INPUT_BYTES];
        Ok(Self { stream, client, out: Vec::new(), written: 0, input, filled: 0 })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    /// Sends the client's next request, as far as the socket takes it.
    pub(super) fn send(&mut self) -> Result<()> {
        self.out.clear();
        self.written = 0;
        self.client.request(&mut self.out);
        self.flush()
    }

    /// Goes on sending.
    pub(super) fn flush(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => bail!("the server takes nothing more"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what has arrived; the step where the answer is whole.
    pub(super) fn receive(&mut self) -> Result<Option<Step>> {
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
            let free = self.input.len() - self.filled;
            match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => {
                    self.filled += count;
                    if let Some(step) = self.take()? {
                        return Ok(Some(step));
                    }
                    // A short read has emptied the socket: more of it is another edge.
                    if count < free {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Step>> {
        let Some((taken, step)) = self.client.answer(&self.input[..self.filled])? else {
            return Ok(None);
        };
        self.input.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(Some(step))
    }
}
