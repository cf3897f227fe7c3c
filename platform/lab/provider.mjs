// The OpenID provider of the demo and the system tests: npm's oidc-provider over HTTPS on loopback.
//
// usage: node provider.mjs CONFIG.json
// CONFIG: {issuer, port, cert, key, jwks, clients: [{id, secret, claims, ttl}], audiences: [..]}
//   Each client gets tokens by the client_credentials grant (RFC 6749 4.4) with `resource` (RFC 8707) as the audience; its
//   `claims` are added to the access token, which is a JWT (RFC 9068, typ at+jwt) signed with ES256. `ttl` is in seconds.
// Prints "ready" when it listens. Secrets come from the file, never from the command line.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const byId = new Map(config.clients.map((client) => [client.id, client]));

const provider = new Provider(config.issuer, {
  clients: config.clients.map((client) => ({
    client_id: client.id,
    client_secret: client.secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: 'ES256',
  })),
  jwks: JSON.parse(readFileSync(config.jwks, 'utf8')),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => config.audiences[0],
      getResourceServerInfo: (ctx, resource, client) => ({
        scope: 'use',
        audience: resource,
        accessTokenTTL: byId.get(client.clientId).ttl ?? 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  extraTokenClaims: (ctx, token) => byId.get(token.clientId)?.claims,
});

const server = https.createServer(
  { cert: readFileSync(config.cert), key: readFileSync(config.key) },
  provider.callback(),
);
server.listen(config.port, '127.0.0.1', () => console.log('ready'));
process.on('SIGTERM', () => process.exit(0));
