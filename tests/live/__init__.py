"""The whole product, live: real processes, real sockets, honest fakes of backends."""
