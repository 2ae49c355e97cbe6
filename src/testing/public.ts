// What `moldau/testing` offers: a broker, or a cluster of them, inside the process of a test.

export { type StartBrokerOptions, startBroker, type TestBroker } from './start-broker.ts'
export {
  type ClusterBroker,
  type PartitionState,
  type StartClusterOptions,
  startCluster,
  type TestCluster,
} from './start-cluster.ts'
