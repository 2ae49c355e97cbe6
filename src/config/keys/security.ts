// The broker's keys about encryption, logins and permissions. None of these is there yet, so that anything but a default is
// refused: a broker that silently served everybody would be worse than one that does not start.

import { boolean, className, int, list, long, password, string } from '../definition.ts'

const noTls = { honoured: { refused: 'TLS is not there yet: use a PLAINTEXT listener' } } as const
const noSasl = { honoured: { refused: 'SASL is not there yet: use a PLAINTEXT listener' } } as const
const noAcls = { honoured: { refused: 'ACLs are not there yet' } } as const
const noTokens = { honoured: { refused: 'delegation tokens are not there yet' } } as const
const accepted = { honoured: 'accepted' } as const

export const SECURITY_KEYS = {
  'allow.everyone.if.no.acl.found': boolean(false, 'Permit what no ACL speaks about.', accepted),
  'authorizer.class.name': className('', 'Class that judges permissions.', noAcls),
  'delegation.token.expiry.check.interval.ms': long(3_600_000, 'How often expired tokens are looked for.', {
    min: 1,
    ...accepted,
  }),
  'delegation.token.expiry.time.ms': long(86_400_000, 'How long a token lives before it must be renewed.', {
    min: 1,
    ...accepted,
  }),
  'delegation.token.max.lifetime.ms': long(604_800_000, 'How long a token may live at all.', { min: 1, ...accepted }),
  'delegation.token.secret.key': password('Key that signs delegation tokens.', noTokens),
  'early.start.listeners': string(null, 'Listeners opened before permissions are loaded.', accepted),
  'principal.builder.class': className(
    'org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder',
    'Class that names who is at the other end.',
    { dynamic: 'broker', honoured: { refused: 'it runs no Java plug-ins' } },
  ),
  'sasl.client.callback.handler.class': className(null, "Class that answers a client's login.", noSasl),
  'sasl.enabled.mechanisms': list('GSSAPI', 'SASL mechanisms offered.', { dynamic: 'broker', ...accepted }),
  'sasl.jaas.config': password('Login configuration.', { dynamic: 'broker', ...noSasl }),
  'sasl.login.callback.handler.class': className(null, 'Class that answers a login.', noSasl),
  'sasl.login.class': className(null, 'Class of a login.', noSasl),
  'sasl.mechanism.controller.protocol': string('GSSAPI', 'SASL mechanism between controllers.', accepted),
  'sasl.mechanism.inter.broker.protocol': string('GSSAPI', 'SASL mechanism between brokers.', { dynamic: 'broker', ...accepted }),
  'sasl.oauthbearer.clock.skew.seconds': int(30, 'Clock difference allowed for in tokens.', accepted),
  'sasl.oauthbearer.expected.audience': list(null, 'Audience that a token must name.', noSasl),
  'sasl.oauthbearer.expected.issuer': string(null, 'Issuer that a token must name.', noSasl),
  'sasl.oauthbearer.jwks.endpoint.url': string(null, 'Where the keys are found that sign tokens.', noSasl),
  'sasl.oauthbearer.scope.claim.name': string('scope', 'Claim of a token that holds its scope.', accepted),
  'sasl.oauthbearer.sub.claim.name': string('sub', 'Claim of a token that names its owner.', accepted),
  'sasl.server.callback.handler.class': className(null, 'Class that checks a login.', noSasl),
  'sasl.server.max.receive.size': int(524_288, 'Largest message of a login.', accepted),
  'security.providers': string(null, 'Java security providers.', { honoured: { refused: 'it runs no Java plug-ins' } }),
  'ssl.cipher.suites': list('', 'Cipher suites allowed.', { dynamic: 'broker', ...accepted }),
  'ssl.client.auth': string('none', 'Whether clients show a certificate.', {
    oneOf: ['required', 'requested', 'none'],
    dynamic: 'broker',
    ...noTls,
  }),
  'ssl.enabled.protocols': list('TLSv1.2,TLSv1.3', 'TLS versions allowed.', { dynamic: 'broker', ...accepted }),
  'ssl.endpoint.identification.algorithm': string('https', "How a server's name is checked.", { dynamic: 'broker', ...accepted }),
  'ssl.engine.factory.class': className(null, 'Class that makes TLS engines.', { dynamic: 'broker', ...noTls }),
  'ssl.key.password': password('Password of the private key.', { dynamic: 'broker', ...noTls }),
  'ssl.keymanager.algorithm': string('SunX509', 'Algorithm of the key manager.', { dynamic: 'broker', ...accepted }),
  'ssl.keystore.certificate.chain': password('Certificates as PEM.', { dynamic: 'broker', ...noTls }),
  'ssl.keystore.key': password('Private key as PEM.', { dynamic: 'broker', ...noTls }),
  'ssl.keystore.location': string(null, 'File of the private key and its certificates.', { dynamic: 'broker', ...noTls }),
  'ssl.keystore.password': password('Password of that file.', { dynamic: 'broker', ...noTls }),
  'ssl.keystore.type': string('JKS', 'Format of that file.', { dynamic: 'broker', ...accepted }),
  'ssl.principal.mapping.rules': string('DEFAULT', "How a certificate's name becomes a principal.", accepted),
  'ssl.protocol': string('TLSv1.3', 'TLS version preferred.', { dynamic: 'broker', ...accepted }),
  'ssl.provider': string(null, 'Java provider of TLS.', { dynamic: 'broker', ...accepted }),
  'ssl.secure.random.implementation': string(null, 'Java source of random numbers.', { dynamic: 'broker', ...accepted }),
  'ssl.trustmanager.algorithm': string('PKIX', 'Algorithm of the trust manager.', { dynamic: 'broker', ...accepted }),
  'ssl.truststore.certificates': password('Trusted certificates as PEM.', { dynamic: 'broker', ...noTls }),
  'ssl.truststore.location': string(null, 'File of the trusted certificates.', { dynamic: 'broker', ...noTls }),
  'ssl.truststore.password': password('Password of that file.', { dynamic: 'broker', ...noTls }),
  'ssl.truststore.type': string('JKS', 'Format of that file.', { dynamic: 'broker', ...accepted }),
  'super.users': string('', 'Users that may do everything: User:a;User:b.', accepted),
} as const
