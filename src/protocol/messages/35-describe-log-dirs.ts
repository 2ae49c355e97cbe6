import { api, array, bool, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * DescribeLogDirs: what lies in each log directory. 2 is flexible; 3 has an error of its own; 4 adds the directory's total and usable bytes
 * (KIP-827); 5 tells cordoned directories (KIP-1066).
 */
export const DescribeLogDirs = api(35, 'DescribeLogDirs', {
  versions: '1-5',
  flexible: '2+',
  request: {
    topics: array({ topic: string(), partitions: array(int32()) }).nullable(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16('3+'),
    results: array({
      errorCode: int16(),
      logDir: string(),
      topics: array({
        name: string(),
        partitions: array({ partitionIndex: int32(), partitionSize: int64(), offsetLag: int64(), isFutureKey: bool() }),
      }),
      totalBytes: int64('4+').default(-1n),
      usableBytes: int64('4+').default(-1n),
      isCordoned: bool('5+').default(false),
    }),
  },
})
export type DescribeLogDirsRequest = Request<typeof DescribeLogDirs>
export type DescribeLogDirsResponse = Response<typeof DescribeLogDirs>
export type DescribeLogDirsResponseInput = ResponseInput<typeof DescribeLogDirs>
