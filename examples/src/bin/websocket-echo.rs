//! The socket beneath the WebSocket service, alone: sends back whatever comes. The Autobahn suite checks it.
//!
//! `cargo run -p tbx-examples --bin websocket-echo`

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::StatusCode;
use tbx_notify::websocket::{
    Accepted, CloseCode, Frame, Message, Origins, SocketError, WebSocketOptions, accept,
};
use tokio::net::TcpListener;

async fn open(request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match accept(&mut parts, &Origins::SameHost) {
        Ok(accepted) => {
            let response = accepted.response::<Body>();
            tokio::spawn(echo(accepted));
            response
        }
        Err(rejection) => (rejection.status(), rejection.to_string()).into_response(),
    }
}

async fn echo(accepted: Accepted) {
    let options = WebSocketOptions::default().with_max_message(16 << 20);
    let Ok(mut socket) = accepted.socket(options).await else { return };
    loop {
        match socket.recv().await {
            Ok(Message::Text(text)) => socket.send(Frame::text(&text)),
            Ok(Message::Binary(bytes)) => socket.send(Frame::binary(&bytes)),
            Err(SocketError::Protocol(code)) => return socket.close(code, "").await,
            Err(_) => return socket.close(CloseCode::NORMAL, "").await,
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let nowhere = || async { StatusCode::NOT_FOUND };
    let app = Router::new().route("/", any(open)).fallback(nowhere);
    let ended = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(ended).await?;
    Ok(())
}
